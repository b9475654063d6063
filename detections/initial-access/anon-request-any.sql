-- /// detection
-- title = "An anonymous client tried several requests"
-- severity = "informational"
-- status = "shadow"
-- attack = ["T1190", "T1595"]
-- section = [1, 2]
-- categories = ["kube-audit"]
-- window = "10m"
-- key = ["cluster", "client_ip"]
-- suppress = "1d"
-- summary = "{client_ip} sent {requests} anonymous requests to {cluster} within 10 minutes, {allowed} allowed, such as {request_uri}, with {user_agent}"
--
-- description = """
-- Every API server with a public address is scanned all day, mostly by single requests. Three anonymous requests of one
-- address within ten minutes are somebody who tries. Only counted (shadow), one for each address and day: material for
-- address-timeline. Refused and answered requests count; health checks, the version and the issuer's keys do not. What
-- is allowed to anonymous clients is anon-request-allowed, scans of Kubernetes are anon-endpoint-enumeration. No body
-- is needed. If there is any of it, restrict the address ranges of the API server.
-- """
-- false_positives = [
--   "Scanners of the internet, Defender's attack surface management",
-- ]
-- follow_up = ["address-timeline"]
-- ///

SELECT
    cluster,
    client_ip,
    count(*) AS requests,
    count(*) FILTER (WHERE status_code BETWEEN 200 AND 299 OR status_code = 101) AS allowed,
    min(request_uri) AS request_uri,
    min(user_agent) AS user_agent,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND principal_class = 'anonymous'
    AND NOT regexp_like(
        coalesce(request_uri, ''),
        '^/((healthz|livez|readyz)(/[A-Za-z0-9_./-]*)?|version/?|openid/v1/jwks/?|\.well-known/openid-configuration)(\?.*)?$'
    )
GROUP BY cluster, client_ip
HAVING count(*) >= 3
