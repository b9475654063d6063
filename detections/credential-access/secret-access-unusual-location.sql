-- /// detection
-- title = "Secrets were read from a network new to the identity"
-- severity = "low"
-- status = "stable"
-- attack = ["T1552.007", "T1078"]
-- section = [4]
-- categories = ["kube-audit"]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "username", "network"]
-- summary = "{username} read ({verb}) secrets of {cluster} from {client_ip}, a network not seen with this identity for 30 days: {object_name}"
--
-- description = """
-- A known identity in an unknown place is how a taken credential looks. Networks are the first half of an IPv4 address and
-- the first three groups of an IPv6 address, since homes and offices change their addresses within one; no country is
-- looked up. Only public addresses count, and none of lists/known_addresses.csv. Service accounts from outside are
-- system-principal-external-ip. Low, as people travel. Says nothing for a cluster until seven days of its log were seen.
-- No body is needed.
-- """
-- false_positives = [
--   "Travel, home offices, hosted pipelines: add steady addresses to lists/known_addresses.csv",
-- ]
-- follow_up = ["secrets-read-by-identity", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    CASE
        WHEN client_ip LIKE '%:%'
        THEN concat(split_part(client_ip, ':', 1), ':', split_part(client_ip, ':', 2), ':', split_part(client_ip, ':', 3), '::/48')
        ELSE concat(split_part(client_ip, '.', 1), '.', split_part(client_ip, '.', 2), '.0.0/16')
    END AS network,
    verb,
    namespace,
    name,
    concat(namespace || '/', coalesce(name, '*')) AS object_name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND resource = 'secrets'
    AND verb IN ('get', 'list', 'watch')
    AND is_public(client_ip)
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'service-account', 'anonymous')
    AND NOT listed('known_addresses', client_ip)
