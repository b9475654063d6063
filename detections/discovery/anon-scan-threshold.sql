-- /// detection
-- title = "Many anonymous requests from one address were refused"
-- severity = "low"
-- status = "stable"
-- attack = ["T1595", "T1046"]
-- section = [1, 2]
-- categories = ["kube-audit"]
-- window = "10m"
-- key = ["cluster", "client_ip"]
-- suppress = "1d"
-- summary = "{client_ip} made {requests} anonymous requests to {cluster} within 10 minutes that were refused, with {user_agent}"
--
-- description = """
-- More than five refusals in ten minutes is not one of the internet's passing scanners, which ask once or twice, but
-- someone trying. Refused with 401 or 403 and without credentials; requests with a wrong credential name nobody and are
-- not counted, because workloads with expired tokens look the same. Health checks and the version do not count. One alert
-- for each address and day. No body is needed. Restrict the authorised address ranges of the API server, or make it
-- private.
-- """
-- false_positives = [
--   "Scanning services (Censys, Shodan), Defender's attack surface management",
-- ]
-- follow_up = ["address-timeline"]
-- ///

SELECT
    cluster,
    client_ip,
    count(DISTINCT audit_id) AS requests,
    count(DISTINCT request_uri) AS addresses_tried,
    min(user_agent) AS user_agent,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code IN (401, 403)
    AND (principal_class = 'anonymous' OR array_has(groups, 'system:unauthenticated'))
    AND NOT regexp_like(
        coalesce(request_uri, ''),
        '^/((healthz|livez|readyz)(/[A-Za-z0-9_./-]*)?|version/?|openid/v1/jwks/?|\.well-known/openid-configuration)(\?.*)?$'
    )
GROUP BY cluster, client_ip
HAVING count(DISTINCT audit_id) >= 6
