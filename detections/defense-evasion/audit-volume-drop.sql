-- /// detection
-- title = "Most of a cluster's audit log is missing"
-- severity = "medium"
-- status = "shadow"
-- attack = ["T1562.008"]
-- section = [6]
-- categories = ["kube-audit"]
-- window = "70m"
-- step = "10m"
-- key = ["cluster"]
-- suppress = "6h"
-- summary = "{cluster} sent about {now_per_64th} × 64 audit events in ten minutes, after {usual_per_64th} × 64 in the ten minutes usual of the last hour"
--
-- description = """
-- Where one API server's log is lost, a filter is put before the hub, or a verbose client is what hid everything else,
-- the log goes on, thinner. Fires when ten minutes hold some, but less than three tenths, of the median of the six
-- times ten minutes before, counted over one in 64 events (by the end of their ids, which is chance) with at least 30
-- of those, so about 2,000 events in ten minutes. Nights and weekends come slower than that; the end of a storm of
-- requests does not, and what is usual for the hour is not known, therefore shadow. No body is needed. See which
-- categories, verbs and API servers are missing.
-- """
-- false_positives = [
--   "The end of a storm of requests, clusters scaled in",
-- ]
-- follow_up = ["log-completeness", "clusters-and-categories"]
-- ///

SELECT
    cluster,
    sum(events) FILTER (WHERE age = 0) AS now_per_64th,
    median(events) FILTER (WHERE age > 0) AS usual_per_64th,
    max(last_time) AS last_seen
FROM (
    SELECT
        cluster,
        age,
        count(*) AS events,
        max(time) AS last_time
    FROM (
        SELECT
            cluster,
            time,
            CAST(floor((date_part('epoch', window_end()) - date_part('epoch', time)) / 600) AS BIGINT) AS age
        FROM audit
        WHERE right(audit_id, 2) IN ('00', '40', '80', 'c0')
    ) AS sampled
    GROUP BY cluster, age
) AS tenth
GROUP BY cluster
HAVING
    count(*) FILTER (WHERE age > 0) = 6
    AND median(events) FILTER (WHERE age > 0) >= 30
    AND sum(events) FILTER (WHERE age = 0) * 10 < median(events) FILTER (WHERE age > 0) * 3
