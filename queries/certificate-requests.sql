-- /// query
-- title = "Certificate requests and who approved them"
-- topic = "secrets"
-- section = [1]
-- see_also = ["identity-timeline", "object-history"]
--
-- description = """
-- Each certificate signing request with who made it, what it is for and who
-- approved or denied it. A client certificate (signer kube-apiserver-client)
-- cannot be revoked: whoever holds it is in until it expires. One identity that
-- asks and approves is the sign. Nodes ask for their serving certificates and the
-- certificate controller approves them all day; they are left out unless asked
-- for. The name inside the certificate is in the encoded request, which is not
-- read here.
-- """
--
-- [params]
-- platform = { type = "bool", description = "Whether requests of nodes and approvals of the platform are shown", default = false }
-- ///

SELECT
    time,
    cluster,
    name,
    username,
    client_ip,
    CASE subresource
        WHEN 'approval' THEN coalesce(object -> 'status' -> 'conditions' -> 0 ->> 'type', 'approval')
        ELSE concat_ws('/', verb, subresource)
    END AS action,
    object -> 'spec' ->> 'signerName' AS signer,
    object -> 'spec' ->> 'username' AS requested_by,
    object -> 'spec' ->> 'usages' AS usages,
    object -> 'spec' ->> 'expirationSeconds' AS lifetime_seconds,
    audit_id
FROM audit
WHERE
    resource = 'certificatesigningrequests'
    AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
    AND stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    AND ($platform OR coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa'))
ORDER BY time, audit_id
