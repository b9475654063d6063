-- /// detection
-- title = "A new Azure role assignment gave access to the cluster"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1098.003"]
-- section = [1]
-- categories = ["kube-audit"]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "assignment"]
-- summary = "{username} was allowed on {cluster} by the Azure role assignment {assignment} of role {role_id}, not seen there in 30 days, from {client_ip}: {verb} {request_uri}"
--
-- description = """
-- A role assigned in Azure opens the cluster without any change inside it. Fires when the id of an assignment allows a
-- request for the first time in 30 days. Guard names it only where its answer is not from its cache, and a cut record
-- loses annotations: without the id the rule stays silent. Says nothing for a cluster until seven days of its log were
-- seen. No body is needed. The Azure activity log tells who made the assignment; remove it if nobody asked for it.
-- """
-- false_positives = [
--   "Roles activated for a time by Privileged Identity Management: each activation may be a new assignment",
--   "Access given on purpose",
-- ]
-- follow_up = ["identity-timeline", "cluster-admins-by-bindings"]
-- ///

SELECT
    cluster,
    regexp_match(decision_reason, '^Access allowed by Azure RBAC Role Assignment (\S+) of Role ')[1] AS assignment,
    regexp_match(decision_reason, ' of Role (\S+) ')[1] AS role_id,
    username,
    verb,
    request_uri,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND regexp_like(decision_reason, '^Access allowed by Azure RBAC Role Assignment \S+ of Role ')
