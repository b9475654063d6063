-- /// detection
-- title = "Azure RBAC could not be asked"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1562"]
-- section = [1, 6]
-- categories = ["guard"]
-- window = "5m"
-- key = ["cluster"]
-- suppress = "1h"
-- summary = "Guard of {cluster} failed {failures} checks of Azure RBAC within five minutes: {example}"
--
-- description = """
-- Where Azure RBAC decides who may do what, guard asks Azure for every request it has no answer to. Ten checks that
-- failed, were throttled or timed out within five minutes mean that people and pipelines are refused at random, by too
-- many requests (somebody enumerating permissions makes those) or by an outage. Needs the category guard; there is no
-- body to read. See which identity makes most requests.
-- """
-- false_positives = [
--   "Throttling of Azure Resource Manager in large clusters; an outage of it",
-- ]
-- follow_up = ["guard-failures", "denied-by-identity"]
-- ///

SELECT
    cluster,
    count(*) AS failures,
    count(*) FILTER (WHERE message LIKE '%429%') AS throttled,
    min(message) AS example,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM control_plane
WHERE
    category = 'guard'
    AND regexp_like(
        lower(message),
        'error in check ?access|check ?access requests? (have timed out|failed)|check ?access.*(failed with status code|429|throttl)'
    )
    AND lower(message) NOT LIKE '%succeeded%'
GROUP BY cluster
HAVING count(*) >= 10
