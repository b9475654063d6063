-- /// detection
-- title = "Secrets were read one after another"
-- severity = "high"
-- status = "stable"
-- attack = ["T1552.007"]
-- section = [4]
-- categories = ["kube-audit"]
-- window = "5m"
-- key = ["cluster", "username", "client_ip"]
-- suppress = "1h"
-- summary = "{username} read {secrets} secrets of {cluster} within 5 minutes, from {client_ip} with {user_agent}"
--
-- description = """
-- Ten different secrets in five minutes by one client is a script, and each of them succeeded. Faster and graver than
-- secret-access-bulk, which counts lists and refusals over half an hour. Helm's release secrets, nodes, the control plane
-- and lists/secret_readers.csv are left out; accounts of kube-system are exempt one by one only. No body is needed. Ask
-- the person; if nobody knows of it, cut the access and rotate what was read.
-- """
-- false_positives = [
--   "kubectl apply of many secrets reads each before it writes: add the pipeline to lists/secret_readers.csv",
--   "Backup tools and scanners such as Velero or Trivy",
-- ]
-- follow_up = ["secrets-read-by-identity", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    client_ip,
    user_agent,
    count(DISTINCT concat(namespace, '/', name)) AS secrets,
    count(DISTINCT namespace) AS namespaces,
    substr(string_agg(DISTINCT namespace, ', ' ORDER BY namespace), 1, 500) AS names,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND resource = 'secrets'
    AND verb = 'get'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
    AND NOT listed('secret_readers', username)
    AND NOT starts_with(coalesce(name, ''), 'sh.helm.release.v1.')
GROUP BY cluster, username, client_ip, user_agent
HAVING count(DISTINCT concat(namespace, '/', name)) >= 10
