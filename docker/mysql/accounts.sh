# The image's entrypoint sources this while it makes a new volume: the accounts of grants.sql, with the passwords of .env.
grants=$(cat /millrace/grants.sql)
grants=${grants//MILLRACE-PASSWORD/"$MYSQL_PASSWORD"}
grants=${grants//VIEWER-PASSWORD/"$MYSQL_VIEWER_PASSWORD"}
grants=${grants//KEEPER-PASSWORD/"$MYSQL_KEEPER_PASSWORD"}
docker_process_sql <<<"$grants"
