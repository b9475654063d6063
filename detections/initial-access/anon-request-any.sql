-- /// detection
-- title = "An anonymous request"
-- severity = "informational"
-- status = "shadow"
-- attack = ["T1190", "T1595"]
-- section = [1, 2]
-- categories = ["kube-audit"]
-- key = ["cluster", "client_ip"]
-- suppress = "1d"
-- summary = "An anonymous client at {client_ip} asked {cluster} for {verb} {request_uri}: {status_code}, with {user_agent}"
--
-- description = """
-- Every API server with a public address is scanned all day, so this is only counted (shadow), one for each address and
-- day: material for address-timeline. What is allowed to anonymous clients is anon-request-allowed, scans of Kubernetes
-- are anon-endpoint-enumeration. Health checks, the version and the issuer's keys are left out. No body is needed. If
-- there is any of it, restrict the address ranges of the API server.
-- """
-- false_positives = [
--   "Scanners of the internet, Defender's attack surface management",
-- ]
-- follow_up = ["address-timeline"]
-- ///

SELECT
    cluster,
    client_ip,
    verb,
    request_uri,
    status_code,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND principal_class = 'anonymous'
    AND NOT regexp_like(
        coalesce(request_uri, ''),
        '^/((healthz|livez|readyz)(/[A-Za-z0-9_./-]*)?|version/?|openid/v1/jwks/?|\.well-known/openid-configuration)(\?.*)?$'
    )
