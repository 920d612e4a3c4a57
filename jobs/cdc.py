"""Tables of PostgreSQL in ClickHouse, row for row, from the changes that Debezium captured (millrace cdc register).

spark-submit --properties-file spark-conf/local.conf jobs/cdc.py --tables public.demo_table1,public.demo_table2
millrace run cdc --tables public.orders --key public.orders=shop,number --as-text public.orders.valid_until
"""

from millrace.applications.application import main
from millrace.applications.cdc import CDC

if __name__ == "__main__":
    main(CDC, __doc__)
