-- /// detection
-- title = "An anonymous client went through the API"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1613", "T1595.003"]
-- section = [1, 2]
-- categories = ["kube-audit"]
-- window = "10m"
-- key = ["cluster", "client_ip"]
-- suppress = "1d"
-- summary = "{client_ip} asked {cluster} anonymously for {paths} different paths and {kinds} kinds of resource ({resources}) within 10 minutes, {allowed} allowed, with {user_agent}"
--
-- description = """
-- Six different paths with four kinds of resource: this is someone, or a tool such as kube-hunter, that knows Kubernetes,
-- not a scanner of web servers. Answers count whatever they are; allowed says how many were not refused, and each of those
-- is critical (anon-request-allowed). One alert for each address and day. No body is needed. See whether the address
-- signed in later, and restrict who reaches the API server.
-- """
-- false_positives = [
--   "Your own vulnerability scanner, without credentials",
-- ]
-- follow_up = ["address-timeline"]
-- ///

SELECT
    cluster,
    client_ip,
    count(DISTINCT request_uri) AS paths,
    count(DISTINCT resource) AS kinds,
    substr(string_agg(DISTINCT resource, ', ' ORDER BY resource), 1, 500) AS resources,
    count(*) FILTER (WHERE status_code BETWEEN 200 AND 299) AS allowed,
    min(user_agent) AS user_agent,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND principal_class = 'anonymous'
    AND NOT regexp_like(
        coalesce(request_uri, ''),
        '^/((healthz|livez|readyz)(/[A-Za-z0-9_./-]*)?|version/?|openid/v1/jwks/?|\.well-known/openid-configuration)(\?.*)?$'
    )
GROUP BY cluster, client_ip
HAVING
    count(DISTINCT request_uri) >= 6
    AND count(DISTINCT resource) >= 4
