-- /// detection
-- title = "One identity ran into Azure Policy again and again"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1610", "T1562"]
-- section = [8]
-- window = "15m"
-- suppress = "6h"
-- key = ["cluster", "username"]
-- summary = "{username} was refused {objects} objects by {policies} policies of {cluster} within 15 minutes, from {client_ip}"
--
-- description = """
-- Somebody who is refused by one policy after another is trying what gets through: ten different objects, or three
-- different policies, within a quarter of an hour. The policy's name is read from the message of the refusal, so no body
-- is needed; dry runs count. Kubernetes' own controllers, which repeat what they were told, and
-- lists/workload_deployers.csv are left out. Refusals by other engines are not counted. See what was admitted in the
-- end.
-- """
-- false_positives = [
--   "A chart that breaks several policies at once, installed by hand",
-- ]
-- follow_up = ["admission-denials", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    count(DISTINCT concat(resource, ' ', namespace, '/', name)) AS objects,
    count(DISTINCT regexp_match(status_message, '\[([a-z0-9-]+)\]')[1]) AS policies,
    min(substr(status_message, 1, 300)) AS message,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code = 403
    AND status_message LIKE '%gatekeeper% denied the request%'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_controllers', username)
    AND NOT listed('workload_deployers', username)
GROUP BY cluster, username
HAVING
    count(DISTINCT concat(resource, ' ', namespace, '/', name)) >= 10
    OR count(DISTINCT regexp_match(status_message, '\[([a-z0-9-]+)\]')[1]) >= 3
