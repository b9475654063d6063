-- /// detection
-- title = "One person was active from several addresses"
-- severity = "low"
-- status = "stable"
-- attack = ["T1078.004"]
-- section = [1]
-- categories = ["kube-audit"]
-- window = "15m"
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} was active on {cluster} from {count_addresses} public addresses within 15 minutes: {addresses}"
--
-- description = """
-- A person has one or two addresses at a time (office, phone). Four public ones in a quarter of an hour are a proxy
-- network, or somebody else with the same sign-in. Applications are left out, since pipelines run on many machines. No
-- body is needed. Compare it with the sign-in logs of Entra.
-- """
-- false_positives = [
--   "Carrier networks and company proxies that change the address with every request: add them to lists/known_addresses.csv",
--   "A shared local account",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    count(DISTINCT client_ip) AS count_addresses,
    string_agg(DISTINCT client_ip, ', ' ORDER BY client_ip) AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND principal_class IN ('entra-user', 'local-admin', 'other')
    AND is_public(client_ip)
    AND NOT listed('known_addresses', client_ip)
GROUP BY cluster, username
HAVING count(DISTINCT client_ip) >= 4
