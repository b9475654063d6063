-- /// query
-- title = "Gaps and cut records by hour"
-- topic = "logs"
-- section = [6]
-- see_also = ["log-cost", "clusters-and-categories"]
--
-- description = """
-- For each cluster and each hour of the range: rows of both tables, records cut or
-- logged without their body, the longest silence, and how late records were
-- uploaded. An hour without rows between hours with rows is a gap; a cluster that
-- goes silent while others go on lost its diagnostic setting, or somebody removed
-- it. silent_minutes counts to the end of the last hour that any cluster has. Cut
-- records hide bodies: cut-records says who made them. Events lost
-- before they reached the hub leave no trace but a silence.
-- """
-- ///

WITH rows_seen AS (
    SELECT cluster, time, record_time, truncated, body_skipped, 1 AS audit_row
    FROM audit
    UNION ALL
    SELECT cluster, time, record_time, false AS truncated, false AS body_skipped, 0 AS audit_row
    FROM control_plane
),

hours AS (
    SELECT
        c.cluster,
        r.hour
    FROM (SELECT DISTINCT cluster FROM rows_seen) AS c
    CROSS JOIN (
        SELECT unnest(generate_series(date_trunc('hour', min(time)), max(time), INTERVAL '1 hour')) AS hour
        FROM rows_seen
    ) AS r
),

-- The beginning and the end of each hour are silent neighbours of its rows.
gaps AS (
    SELECT
        cluster,
        date_trunc('hour', time) AS hour,
        time - coalesce(
            lag(time) OVER (PARTITION BY cluster, date_trunc('hour', time) ORDER BY time),
            date_trunc('hour', time)
        ) AS before,
        coalesce(
            lead(time) OVER (PARTITION BY cluster, date_trunc('hour', time) ORDER BY time),
            date_trunc('hour', time) + INTERVAL '1 hour'
        ) - time AS after
    FROM rows_seen
    WHERE time IS NOT NULL
),

silences AS (
    SELECT cluster, hour, greatest(max(before), max(after)) AS longest
    FROM gaps
    GROUP BY cluster, hour
),

counts AS (
    SELECT
        cluster,
        date_trunc('hour', time) AS hour,
        sum(audit_row) AS audit_rows,
        count(*) - sum(audit_row) AS control_plane_rows,
        count(*) FILTER (WHERE truncated) AS cut,
        count(*) FILTER (WHERE body_skipped) AS body_skipped,
        max(record_time - time) AS latest_upload
    FROM rows_seen
    GROUP BY 1, 2
)

SELECT
    h.cluster,
    h.hour,
    coalesce(c.audit_rows, 0) AS audit_rows,
    coalesce(c.control_plane_rows, 0) AS control_plane_rows,
    coalesce(c.cut, 0) AS cut,
    coalesce(c.body_skipped, 0) AS body_skipped,
    coalesce(CAST(date_part('epoch', s.longest) / 60 AS BIGINT), 60) AS silent_minutes,
    CAST(date_part('epoch', c.latest_upload) AS BIGINT) AS upload_delay_seconds
FROM hours AS h
LEFT JOIN counts AS c ON h.cluster = c.cluster AND h.hour = c.hour
LEFT JOIN silences AS s ON h.cluster = s.cluster AND h.hour = s.hour
ORDER BY h.cluster, h.hour
