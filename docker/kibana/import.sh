#!/bin/sh
# Import the data views and dashboards beside this file into Kibana; those that are there are replaced.
#
#   sh docker/kibana/import.sh [http://localhost:5601]
#
# KIBANA_USER=name:password logs in, where Kibana asks for it.
set -eu
kibana=${1:-http://localhost:5601}
failed=0
for file in "$(dirname "$0")"/*.ndjson; do
  answer=$(printf 'user = "%s"\n' "${KIBANA_USER:-}" | curl --silent --show-error --max-time 60 \
    ${KIBANA_USER:+--config -} --header 'kbn-xsrf: true' --form "file=@$file" \
    "$kibana/api/saved_objects/_import?overwrite=true") || exit 1
  case $answer in
    *'"success":true'*) echo "$kibana: imported $(basename "$file")" ;;
    *) echo "$kibana: did not take $(basename "$file"): $answer" >&2; failed=1 ;;
  esac
done
exit $failed
