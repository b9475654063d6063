-- /// detection
-- title = "Many requests could not be authenticated"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1110", "T1528"]
-- section = [1]
-- categories = ["kube-apiserver"]
-- window = "10m"
-- key = ["cluster", "error"]
-- suppress = "1h"
-- summary = "kube-apiserver of {cluster} could not authenticate {failures} requests within ten minutes: {error}"
--
-- description = """
-- Fifty requests in ten minutes whose token or certificate the API server does not accept, all for the same reason
-- (numbers and times in it are left out of the comparison): tokens being tried, or a workload that goes on with
-- credentials that were rotated. The line has no address: the 401s of the audit log have. Needs the category
-- kube-apiserver; there is no body to read.
-- """
-- false_positives = [
--   "Certificates or signing keys just rotated (az aks rotate-certs): pods with old tokens retry until they restart",
--   "An expired kubeconfig in a dashboard that polls",
-- ]
-- follow_up = ["guard-failures", "denied-by-identity"]
-- ///

SELECT
    cluster,
    substr(regexp_replace(regexp_replace(message, '^.*Unable to authenticate the request"?( err="?)?', ''), '[0-9][0-9A-Fa-f:TZ.-]*', '#', 'g'), 1, 200) AS error,
    count(*) AS failures,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM control_plane
WHERE
    category = 'kube-apiserver'
    AND message LIKE '%Unable to authenticate the request%'
GROUP BY
    cluster,
    substr(regexp_replace(regexp_replace(message, '^.*Unable to authenticate the request"?( err="?)?', ''), '[0-9][0-9A-Fa-f:TZ.-]*', '#', 'g'), 1, 200)
HAVING count(*) >= 50
