-- /// detection
-- title = "An ingress brings configuration of its own into nginx"
-- severity = "high"
-- status = "stable"
-- attack = ["T1190", "T1552"]
-- section = [2, 8]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} wrote ({verb}) ingress {namespace}/{name} of {cluster} with an annotation that becomes configuration of nginx, from {client_ip}"
--
-- description = """
-- Snippets are copied into the configuration of ingress-nginx, whose account reads every secret: one that serves the
-- token's folder gives the cluster away (CVE-2021-25742), and so do line breaks, braces, semicolons or # in auth-url,
-- auth-tls-match-cn or mirror annotations (CVE-2025-1097, 1098, 24514). AKS and dry runs do not count; identities of
-- lists/workload_deployers.csv may write snippets, but no such characters. For a patch the annotations it leaves
-- count, without a response those it brings. Without a body (level Metadata, or cut before the annotations) the rule
-- stays silent. Read the annotation; forbid snippets in the controller's settings and keep it up to date.
-- """
-- false_positives = [
--   "Snippets that are meant: let a pipeline of lists/workload_deployers.csv write them",
-- ]
-- follow_up = ["ingress-changes", "object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    name,
    left(object -> 'metadata' ->> 'annotations', 1000) AS annotations,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'ingresses'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND (
        (
            NOT listed('workload_deployers', username)
            AND regexp_like(
                object -> 'metadata' ->> 'annotations',
                '/(configuration|server|auth|stream|modsecurity)-snippet"\s*:\s*"[^"]'
            )
        )
        OR regexp_like(
            object -> 'metadata' ->> 'annotations',
            '/(auth-url|auth-tls-match-cn|mirror-target|mirror-host)"\s*:\s*"[^"]*(\\n|[;{}#])'
        )
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
