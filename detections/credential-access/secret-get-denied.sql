-- /// detection
-- title = "Reading secrets was refused"
-- severity = "low"
-- status = "stable"
-- attack = ["T1552.007"]
-- section = [4]
-- categories = ["kube-audit"]
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} was refused secrets ({verb} {request_uri}) on {cluster}, from {client_ip}"
--
-- description = """
-- Who asks for secrets without the right to is mistaken, misconfigured or looking for a way in. One alert for each
-- identity and day. Many at once are secret-get-denied-burst, many kinds of things api-denied-distinct-resources. Nodes
-- (kubelets race with the pods they lose), the control plane, accounts of the system namespaces, anonymous clients and
-- lists/secret_readers.csv are left out. No body is needed.
-- """
-- false_positives = [
--   "k9s and Lens opened by people with few rights; operators whose role lacks secrets",
-- ]
-- follow_up = ["denied-by-identity", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    name,
    request_uri,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code = 403
    AND resource = 'secrets'
    AND verb IN ('get', 'list', 'watch')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'anonymous')
    AND NOT listed('secret_readers', username)
