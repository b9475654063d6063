-- /// detection
-- title = "One identity touched many secrets"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1552.007"]
-- section = [4]
-- categories = ["kube-audit"]
-- window = "30m"
-- key = ["cluster", "username"]
-- suppress = "1h"
-- summary = "{username} asked for {secrets} secrets in {namespaces} namespaces of {cluster} within 30 minutes, {refused} requests refused, from {client_ip}"
--
-- description = """
-- A person reads one or two secrets; fifteen in half an hour is a loop, and a stolen token is usually spent on secrets
-- first. Refused and missing ones count: a probe that fails is still a probe. A list counts once for its namespace. Nodes,
-- the control plane and lists/secret_readers.csv are left out. No body is needed.
-- """
-- false_positives = [
--   "Backup tools, secret synchronisers, migrations: add them to lists/secret_readers.csv",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    count(DISTINCT concat(namespace, '/', name)) AS secrets,
    count(DISTINCT namespace) AS namespaces,
    count(*) FILTER (WHERE status_code = 403) AS refused,
    min(client_ip) AS client_ip,
    count(DISTINCT client_ip) AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND resource = 'secrets'
    AND verb IN ('get', 'list', 'watch')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
    AND NOT listed('secret_readers', username)
GROUP BY cluster, username
HAVING count(DISTINCT concat(namespace, '/', name)) >= 15
