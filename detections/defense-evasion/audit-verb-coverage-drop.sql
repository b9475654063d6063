-- /// detection
-- title = "Reads are no longer logged"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.008"]
-- section = [6]
-- categories = ["kube-audit"]
-- window = "1h"
-- step = "5m"
-- thin = "1m"
-- key = ["cluster"]
-- summary = "{cluster} has logged no get and no list since {last_seen}, while it logs changes"
--
-- description = """
-- Replacing kube-audit by kube-audit-admin keeps the log alive and hides every read: secrets, exec over WebSocket,
-- reconnaissance. Fires once, when get and list were logged in at least 25 minutes of the window and then none for 20
-- to 25 minutes, while changes came in ten of the last 20. log-category-missing sees a category that stops; this rule
-- also sees one that goes on under its old name with less in it. No body is needed. The Azure activity log tells who
-- changed the diagnostic setting; everything the rules marked blind in the coverage look for is unwatched until it is
-- back.
-- """
-- false_positives = [
--   "A change made to save money, which should be known",
-- ]
-- follow_up = ["clusters-and-categories", "log-completeness", "log-cost"]
-- ///

SELECT
    cluster,
    count(DISTINCT date_trunc('minute', time)) FILTER (WHERE reads) AS minutes_with_reads,
    min(time) AS first_seen,
    max(time) FILTER (WHERE reads) AS last_seen
FROM (
    SELECT
        cluster,
        verb IN ('get', 'list') AS reads,
        verb IN ('create', 'update', 'patch', 'delete', 'deletecollection') AS changes,
        time
    FROM audit
    WHERE cluster IS NOT NULL
) AS request
GROUP BY cluster
HAVING
    max(time) FILTER (WHERE reads) <= window_end() - INTERVAL '20 minutes'
    AND max(time) FILTER (WHERE reads) > window_end() - INTERVAL '25 minutes'
    AND count(DISTINCT date_trunc('minute', time)) FILTER (WHERE reads) >= 25
    AND count(DISTINCT date_trunc('minute', time)) FILTER (
        WHERE changes AND time > window_end() - INTERVAL '20 minutes'
    ) >= 10
