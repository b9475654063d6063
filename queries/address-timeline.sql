-- /// query
-- title = "What an address did"
-- topic = "identity"
-- section = [1, 2, 6]
-- see_also = ["identity-timeline", "identities-by-address"]
--
-- description = """
-- Every request that came from an address or range, in order of time, under
-- whatever name. An intruder changes identities more easily than addresses, so
-- each further username here may be taken over too. It need not be: the address is
-- the one the API server saw; behind a proxy, NAT gateway or VPN many people share
-- one, and requests of pods leave through the cluster's own outbound address.
-- """
--
-- example = { address = "185.220.101.0/24" }
--
-- [params]
-- address = { type = "cidr", description = "An address or a range of them", required = true }
-- ///

SELECT
    time,
    cluster,
    client_ip,
    username,
    impersonated_username,
    user_agent,
    verb,
    resource,
    subresource,
    namespace,
    name,
    status_code,
    audit_id
FROM audit
WHERE cidr_match(client_ip, $address)
ORDER BY time, audit_id, stage
