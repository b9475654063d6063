-- /// detection
-- title = "Clients come with certificates that have run out"
-- severity = "medium"
-- status = "stable"
-- attack = []
-- section = [9, 1]
-- categories = ["kube-apiserver"]
-- window = "10m"
-- suppress = "1d"
-- key = ["cluster"]
-- summary = "{lines} requests to {cluster} came with an expired certificate within 10 minutes: {example}"
--
-- description = """
-- Ten refusals of an expired certificate within ten minutes are nodes or agents that lost their access, a forgotten
-- kubeconfig in a script, or an old credential that somebody tries. Needs the category kube-apiserver; there is no body
-- to read. When nodes are among them the cluster is about to fail: az aks rotate-certs. Else find the client by the
-- errors' time in kube-audit (status 401).
-- """
-- false_positives = [
--   "Old kubeconfigs in scripts; the hours after a rotation",
-- ]
-- follow_up = ["control-plane-errors", "certificate-requests"]
-- ///

SELECT
    cluster,
    count(*) AS lines,
    min(substr(message, 1, 300)) AS example,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM control_plane
WHERE
    category = 'kube-apiserver'
    AND message LIKE '%x509: certificate has expired%'
GROUP BY cluster
HAVING count(*) >= 10
