-- /// detection
-- title = "The cluster's certificate authority was replaced"
-- severity = "informational"
-- status = "stable"
-- attack = []
-- section = [9, 1]
-- window = "15m"
-- suppress = "1d"
-- key = ["cluster"]
-- summary = "The certificate authority in {namespaces} namespaces of {cluster} was replaced within 15 minutes"
--
-- description = """
-- Kubernetes copies the cluster's certificate authority into each namespace; when four copies are rewritten within a
-- quarter of an hour it was rotated (az aks rotate-certs), and old kubeconfigs stop working. A record, and the answer to
-- a sudden wave of certificate errors. A copy that somebody tampered with is put right one at a time and stays silent.
-- No body is needed. If nobody meant it, ask who did it in the Azure activity log.
-- """
-- false_positives = [
--   "Rotation before the certificates end",
-- ]
-- follow_up = ["certificate-requests", "control-plane-errors"]
-- ///

SELECT
    cluster,
    count(DISTINCT namespace) AS namespaces,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND resource = 'configmaps'
    AND verb IN ('update', 'patch')
    AND name = 'kube-root-ca.crt'
    AND username = 'system:serviceaccount:kube-system:root-ca-cert-publisher'
GROUP BY cluster
HAVING count(DISTINCT namespace) >= 4
