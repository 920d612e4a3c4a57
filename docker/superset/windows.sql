{% set time = get_time_filter('window_start') -%}
{% set sources = filter_values('source') -%}
WITH lengths AS (
  SELECT
    source,
    TIMESTAMPDIFF(MICROSECOND, window_start, window_end) AS length,
    RANK() OVER (PARTITION BY source ORDER BY TIMESTAMPDIFF(MICROSECOND, window_start, window_end)) AS place
  FROM <table>
  WHERE TRUE
    {% if time.from_expr %}AND window_start >= {{ time.from_expr }}{% endif %}
    {% if time.to_expr %}AND window_start < {{ time.to_expr }}{% endif %}
    {% if sources %}AND source IN {{ sources | where_in }}{% endif %}
  GROUP BY source, length
), chosen AS (
  SELECT source, length, (
    SELECT window_start
    FROM <table> AS later
    WHERE later.source = lengths.source
      AND TIMESTAMPDIFF(MICROSECOND, later.window_start, later.window_end) = lengths.length
    ORDER BY window_start DESC
    LIMIT 1
  ) AS newest
  FROM lengths
  WHERE place = 1
), shown AS (
  SELECT <table>.*, newest, window_end <= newest AS is_full
  FROM <table> JOIN chosen USING (source)
  WHERE TIMESTAMPDIFF(MICROSECOND, window_start, window_end) = length
    AND MOD(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', window_start), length) = 0
    {% if time.from_expr %}AND window_start >= {{ time.from_expr }}{% endif %}
    {% if time.to_expr %}AND window_start < {{ time.to_expr }}{% endif %}
)
SELECT shown.*, MAX(CASE WHEN is_full THEN window_end END) OVER () AS full_up_to
FROM shown
