-- /// detection
-- title = "A ConfigMap holds credentials"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1552.001"]
-- section = [4]
-- key = ["cluster", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} wrote ({verb}) credentials into configmap {namespace}/{name} of {cluster}: {found}, from {client_ip}"
--
-- description = """
-- ConfigMaps are readable by far more people than secrets, are not encrypted, and stand in backups and logs in the clear.
-- Private keys, keys and signatures of storage accounts, AWS keys, JSON web tokens, and values of eight signs or more
-- behind password, passphrase, client secret, access key or API key count; references, variables and paths do not. Needs
-- the body: the audit policy published for AKS logs ConfigMaps at level Metadata in most versions, and then, or when the
-- body was cut before the data, the rule is silent. The alert names only what kind was found. Move it into a secret or a
-- vault, and rotate it: it is in the audit log too.
-- """
-- false_positives = [
--   "Settings such as password: required; examples in documentation",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    name,
    CASE
        WHEN regexp_like(object ->> 'data', 'PRIVATE KEY-----') THEN 'a private key'
        WHEN regexp_like(object ->> 'data', 'AccountKey=|SharedAccess') THEN 'the key of a storage account or hub'
        ELSE 'a password, key or token'
    END AS found,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'configmaps'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND regexp_like(
        object ->> 'data',
        '(?i)-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAccountKey=[a-z0-9+/=]{20}|SharedAccess(Signature|Key)=|\bAKIA[0-9A-Z]{16}\b|\beyJ[A-Za-z0-9_-]{20,}\.eyJ|(password|passwd|passphrase|client_?secret|access_?key|api_?key)(\\*["''])?\s*[:=]\s*(\\*["''])?[^\s\\"''${}<>/*,]{8,}'
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
