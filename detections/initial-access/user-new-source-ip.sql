-- /// detection
-- title = "A person came from a new network"
-- severity = "low"
-- status = "stable"
-- attack = ["T1078.004"]
-- section = [1]
-- categories = ["kube-audit"]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "username", "network"]
-- summary = "{username} used {cluster} from {client_ip}, a network not seen for this identity in 30 days: {verb} {request_uri} with {user_agent}"
--
-- description = """
-- A stolen sign-in is used from somewhere else. Compared by the first 16 bits of the address (of IPv6 the first 32),
-- since people's addresses change every day. Private addresses and lists/known_addresses.csv are left out; applications
-- and service accounts have rules of their own. Low because people travel. Says nothing for a cluster until seven days
-- of its log were seen. No body is needed. Compare it with the sign-in logs of Entra.
-- """
-- false_positives = [
--   "Travel, mobile networks, Cloud Shell: add offices and VPNs to lists/known_addresses.csv",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    regexp_match(client_ip, '^([0-9]+\.[0-9]+|[0-9A-Fa-f]+:[0-9A-Fa-f]*)')[1] AS network,
    client_ip,
    verb,
    request_uri,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND principal_class IN ('entra-user', 'local-admin', 'other')
    AND is_public(client_ip)
    AND NOT listed('known_addresses', client_ip)
