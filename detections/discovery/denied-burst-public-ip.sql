-- /// detection
-- title = "One public address was refused many different things"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1613", "T1595"]
-- section = [1, 2]
-- categories = ["kube-audit"]
-- window = "30m"
-- key = ["cluster", "client_ip"]
-- suppress = "6h"
-- summary = "{client_ip} was refused {requests} different requests on {cluster} within 30 minutes, as {identities} ({names})"
--
-- description = """
-- Ten different refused requests in half an hour from one address of the internet: somebody goes through what a stolen
-- credential may do, or goes through credentials. Different means another identity, verb, kind, namespace or name, so that
-- software repeating one request stays silent. Anonymous requests are anon-scan-threshold's, refusals by admission
-- policies do not count. Accounts of the system namespaces and addresses of lists/known_addresses.csv are left out. No
-- body is needed.
-- """
-- false_positives = [
--   "An office or the cluster's own outbound address shared by many: add it to lists/known_addresses.csv",
--   "A dashboard opened by someone with few rights",
-- ]
-- follow_up = ["address-timeline", "denied-by-identity"]
-- ///

SELECT
    cluster,
    client_ip,
    count(DISTINCT concat(username, ' ', verb, ' ', resource, '/', subresource, ' ', namespace, '/', name)) AS requests,
    count(DISTINCT username) AS identities,
    substr(string_agg(DISTINCT username, ', ' ORDER BY username), 1, 500) AS names,
    min(user_agent) AS user_agent,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code = 403
    AND coalesce(decision, 'forbid') = 'forbid'
    AND is_public(client_ip)
    AND NOT listed('known_addresses', client_ip)
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'anonymous')
GROUP BY cluster, client_ip
HAVING count(DISTINCT concat(username, ' ', verb, ' ', resource, '/', subresource, ' ', namespace, '/', name)) >= 10
