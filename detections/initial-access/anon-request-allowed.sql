-- /// detection
-- title = "An anonymous request was allowed"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1078.001", "T1190"]
-- section = [1]
-- categories = ["kube-audit"]
-- key = ["cluster", "client_ip"]
-- suppress = "1h"
-- summary = "An anonymous client at {client_ip} was allowed to {verb} {request_uri} on {cluster}"
--
-- description = """
-- Nobody needs to be signed in for what this request did. Health checks, the version and the issuer's keys are public by
-- design and left out; anything else means that a binding names system:anonymous or system:unauthenticated (see
-- binding-broad-group) or that the API server was misconfigured. No body is needed. Remove the binding, then list
-- everything that address did.
-- """
-- false_positives = [
--   "A public page served through the API server's proxy on purpose: better not",
-- ]
-- follow_up = ["address-timeline"]
-- ///

SELECT
    cluster,
    client_ip,
    username,
    verb,
    request_uri,
    resource,
    namespace,
    name,
    status_code,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND principal_class = 'anonymous'
    AND NOT regexp_like(
        coalesce(request_uri, ''),
        '^/((healthz|livez|readyz)(/[A-Za-z0-9_./-]*)?|version/?|openid/v1/jwks/?|\.well-known/openid-configuration)(\?.*)?$'
    )
