-- /// detection
-- title = "A service account was used from several networks"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1528", "T1078"]
-- section = [1]
-- categories = ["kube-audit"]
-- window = "1h"
-- thin = "5m"
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} was used on {cluster} from {networks} public networks within an hour: {addresses}"
--
-- description = """
-- A workload reaches the API server by the cluster's outbound addresses, which lie together. Three public networks (the
-- first 24 bits, of IPv6 the first 48) within an hour mean that its token is somewhere else as well. Private addresses
-- do not count, so agents that run on every node stay silent. No body is needed. See which of the addresses is not
-- yours, and what was done from it.
-- """
-- false_positives = [
--   "A pipeline on hosted runners that signs in with a service account: use workload identity, or add the account to lists/external_accounts.csv",
--   "Clusters with outbound addresses in many networks (several address prefixes)",
-- ]
-- follow_up = ["address-timeline", "identity-timeline", "tokens-created"]
-- ///

SELECT
    cluster,
    username,
    count(DISTINCT regexp_match(client_ip, '^([0-9]+\.[0-9]+\.[0-9]+|[0-9A-Fa-f]+:[0-9A-Fa-f]*:[0-9A-Fa-f]*)')[1]) AS networks,
    string_agg(DISTINCT client_ip, ', ' ORDER BY client_ip) AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND principal_class IN ('service-account', 'system-sa')
    AND is_public(client_ip)
    AND NOT listed('external_accounts', username)
GROUP BY cluster, username
HAVING count(DISTINCT regexp_match(client_ip, '^([0-9]+\.[0-9]+\.[0-9]+|[0-9A-Fa-f]+:[0-9A-Fa-f]*:[0-9A-Fa-f]*)')[1]) >= 3
