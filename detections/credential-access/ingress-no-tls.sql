-- /// detection
-- title = "An ingress without TLS"
-- severity = "low"
-- status = "stable"
-- attack = ["T1040"]
-- section = [2]
-- key = ["cluster", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} wrote ({verb}) ingress {namespace}/{name} of {cluster} without TLS, for hosts {rules}, from {client_ip}"
--
-- description = """
-- Passwords and cookies for these hosts cross the network readable, unless something in front encrypts. One alert for each
-- ingress and day. Certificates that come from an annotation (Key Vault of the application routing add-on, Application
-- Gateway) are known; so are the solvers of cert-manager in lists/plain_ingresses.csv. What is missing cannot be told from
-- what is unchanged where the log has only the request of a patch, nor in a cut record: there the rule stays silent, as it
-- does without a body (level Metadata). Dry runs do not count.
-- """
-- false_positives = [
--   "TLS that ends in Front Door, Application Gateway or a default certificate of the controller: add namespace/name to lists/plain_ingresses.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    name,
    substr(object -> 'spec' ->> 'rules', 1, 500) AS rules,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'ingresses'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
    AND NOT listed('plain_ingresses', concat(namespace, '/', name))
    AND (object ->> 'spec') IS NOT NULL
    AND coalesce(object -> 'spec' ->> 'tls', '[]') IN ('[]', 'null')
    AND NOT regexp_like(
        coalesce(object -> 'metadata' ->> 'annotations', ''),
        'kubernetes\.azure\.com/tls-cert-keyvault-uri|appgw\.ingress\.kubernetes\.io/appgw-ssl-certificate'
    )
    AND (verb <> 'patch' OR response_object IS NOT NULL)
    AND NOT truncated
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
