-- /// detection
-- title = "A known bad address signed in"
-- severity = "high"
-- status = "stable"
-- attack = ["T1090.003"]
-- section = [2]
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} ({principal_class}) used {cluster} from {addresses}, which is in lists/threat_addresses.csv: first {verb} {request_uri}"
--
-- description = """
-- Anonymity networks, proxies and addresses of your threat intelligence have no reason to hold a credential of yours.
-- lists/threat_addresses.csv is yours to fill, by a feed if you have one; shipped is one well-known range of Tor exits.
-- Only identified clients count, refused or not, since anonymous scans come from there all day; an anonymous request that
-- succeeded counts too. Every address the request passed is compared up to the third, and the last. No body is needed. Cut
-- the identity's access first.
-- """
-- false_positives = [
--   "People behind a VPN service",
-- ]
-- follow_up = ["address-timeline", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    principal_class,
    array_to_string(source_ips, ', ') AS addresses,
    client_ip,
    verb,
    request_uri,
    status_code,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (coalesce(principal_class, 'anonymous') <> 'anonymous' OR status_code BETWEEN 200 AND 299)
    AND NOT regexp_like(
        coalesce(request_uri, ''),
        '^/((healthz|livez|readyz)(/[A-Za-z0-9_./-]*)?|version/?|openid/v1/jwks/?|\.well-known/openid-configuration)(\?.*)?$'
    )
    AND (
        listed('threat_addresses', client_ip)
        OR listed('threat_addresses', source_ips[2])
        OR listed('threat_addresses', source_ips[3])
        OR listed('threat_addresses', source_ips[-1])
    )
