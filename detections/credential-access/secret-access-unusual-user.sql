-- /// detection
-- title = "Someone read secrets of a namespace for the first time"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1552.007"]
-- section = [4]
-- categories = ["kube-audit"]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "username", "namespace"]
-- summary = "{username} read ({verb}) secrets of namespace {scope} of {cluster} for the first time in 30 days: {object_name}, from {client_ip}"
--
-- description = """
-- Who needs the secrets of a namespace reads them regularly; someone who never did is a new duty, a curious colleague or a
-- stolen identity. One alert for each identity and namespace. Only reads that succeeded count; Helm's release secrets,
-- nodes, the control plane, accounts of the system namespaces and lists/secret_readers.csv are left out. Says nothing for
-- a cluster until seven days of its log were seen. No body is needed. Ask the person; if nobody knows of it, rotate what
-- was read.
-- """
-- false_positives = [
--   "People with a new duty; workloads that read through the API: add those to lists/secret_readers.csv",
-- ]
-- follow_up = ["secrets-read-by-identity", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    coalesce(namespace, '*') AS scope,
    verb,
    name,
    coalesce(name, '*') AS object_name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND resource = 'secrets'
    AND verb IN ('get', 'list', 'watch')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'anonymous')
    AND NOT listed('secret_readers', username)
    AND NOT starts_with(coalesce(name, ''), 'sh.helm.release.v1.')
