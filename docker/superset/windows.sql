{% set time = get_time_filter('window_start') -%}
{% set sources = filter_values('source') -%}
WITH lengths AS (
  SELECT
    source,
    TIMESTAMPDIFF(MICROSECOND, window_start, window_end) AS length,
    MAX(window_start) AS newest,
    RANK() OVER (PARTITION BY source ORDER BY TIMESTAMPDIFF(MICROSECOND, window_start, window_end)) AS place
  FROM <table>
  WHERE TRUE
    {% if time.from_expr %}AND window_start >= {{ time.from_expr }}{% endif %}
    {% if time.to_expr %}AND window_start < {{ time.to_expr }}{% endif %}
    {% if sources %}AND source IN {{ sources | where_in }}{% endif %}
  GROUP BY source, length
), chosen AS (
  SELECT source, length, MAX(newest) OVER () AS newest FROM lengths WHERE place = 1
)
SELECT <table>.*, newest
FROM <table> JOIN chosen USING (source)
WHERE TIMESTAMPDIFF(MICROSECOND, window_start, window_end) = length
  AND MOD(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', window_start), length) = 0
  {% if time.from_expr %}AND window_start >= {{ time.from_expr }}{% endif %}
  {% if time.to_expr %}AND window_start < {{ time.to_expr }}{% endif %}
