-- /// detection
-- title = "A secret was read"
-- severity = "informational"
-- status = "stable"
-- attack = ["T1552.007"]
-- section = [4]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} read secret {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- Context for an investigation: who could know which secret. One alert per identity, secret and day. A list or watch of one
-- secret by name counts as a read. Control plane, nodes, service accounts of the system namespaces and Helm's own release
-- secrets are left out here; many secrets at once are secret-access-bulk and secret-cross-namespace-sweep, whole lists
-- secret-list. No body is needed (AKS does not log what secrets hold).
-- """
-- false_positives = [
--   "Workloads that read their own secrets through the API: add them to lists/secret_readers.csv",
-- ]
-- follow_up = ["identity-timeline", "object-history"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    name,
    verb,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND resource = 'secrets'
    AND (verb = 'get' OR (verb IN ('list', 'watch') AND name IS NOT NULL))
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
    AND NOT listed('secret_readers', username)
    AND NOT starts_with(coalesce(name, ''), 'sh.helm.release.v1.')
