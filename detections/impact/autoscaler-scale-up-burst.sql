-- /// detection
-- title = "A node pool grew very fast"
-- severity = "medium"
-- status = "shadow"
-- attack = ["T1496"]
-- section = [7]
-- categories = ["cluster-autoscaler"]
-- window = "1h"
-- suppress = "6h"
-- key = ["cluster", "pool"]
-- summary = "Node pool {pool} of {cluster} grew by {added} nodes within an hour, to {now} of {maximum}"
--
-- description = """
-- Twenty nodes more within an hour is what mining looks like on the bill. Reads the autoscaler's line of its final plan
-- (the first pool in it), whose text was taken from the project's source and not seen in AKS's log yet: therefore
-- shadow. Needs the category cluster-autoscaler; there is no body to read. See which pods the nodes were for, and lower
-- the pool's maximum.
-- """
-- false_positives = [
--   "Batch work and load tests",
-- ]
-- follow_up = ["autoscaler-decisions", "new-images", "workload-rollouts"]
-- ///

SELECT
    cluster,
    parts[1] AS pool,
    sum(CAST(parts[3] AS int) - CAST(parts[2] AS int)) AS added,
    max(CAST(parts[3] AS int)) AS now,
    max(CAST(parts[4] AS int)) AS maximum,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        time,
        regexp_match(message, '\{(\S+) ([0-9]+)->([0-9]+) \(max: ([0-9]+)\)') AS parts
    FROM control_plane
    WHERE
        category = 'cluster-autoscaler'
        AND message LIKE '%scale-up plan: [%'
) AS plan
GROUP BY cluster, parts[1]
HAVING sum(CAST(parts[3] AS int) - CAST(parts[2] AS int)) >= 20
