-- /// detection
-- title = "The control plane runs another version"
-- severity = "informational"
-- status = "stable"
-- attack = []
-- section = [9]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "version"]
-- summary = "The control plane of {cluster} runs Kubernetes {version} for the first time in 30 days"
--
-- description = """
-- A record of upgrades, for those who look for the cause of a change. The version is the one the controller manager
-- names in its user agent. Says nothing for a cluster until seven days of its log were seen. No body is needed. Nobody
-- has to do anything.
-- """
-- false_positives = [
--   "Automatic upgrades; every upgrade is meant",
-- ]
-- follow_up = ["client-versions", "node-versions"]
-- ///

SELECT
    cluster,
    regexp_match(user_agent, '^kube-controller-manager/v([0-9]+\.[0-9]+\.[0-9]+)')[1] AS version,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND resource = 'leases'
    AND verb = 'update'
    AND principal_class IN ('aks', 'system')
    AND user_agent LIKE 'kube-controller-manager/v%'
