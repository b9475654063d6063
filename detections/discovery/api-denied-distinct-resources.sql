-- /// detection
-- title = "One identity was refused on many kinds of resource"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1613", "T1069.003"]
-- section = [1, 6]
-- categories = ["kube-audit"]
-- window = "10m"
-- key = ["cluster", "username"]
-- suppress = "6h"
-- summary = "{username} was refused {requests} times on {kinds} kinds of resource of {cluster} within 10 minutes ({resources}), from {client_ip}"
--
-- description = """
-- Software that is misconfigured is refused on one thing over and over; refusals on four kinds of resource within ten
-- minutes are someone trying doors. From a service account it is the usual sign of a stolen pod token. Dashboards opened by
-- people with few rights look the same, so there is one alert in six hours. No body is needed.
-- """
-- false_positives = [
--   "Lens, k9s and the Azure portal opened by low-privileged people ask for everything: look at user_agent",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    count(DISTINCT resource) AS kinds,
    substr(string_agg(DISTINCT resource, ', ' ORDER BY resource), 1, 500) AS resources,
    count(DISTINCT audit_id) AS requests,
    min(client_ip) AS client_ip,
    min(user_agent) AS user_agent,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code = 403
    AND resource IS NOT NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
GROUP BY cluster, username
HAVING count(DISTINCT resource) >= 4
