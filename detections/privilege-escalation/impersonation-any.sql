-- /// detection
-- title = "Someone not expected acted as another identity"
-- severity = "informational"
-- status = "stable"
-- attack = ["T1134"]
-- section = [1]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "impersonated_username"]
-- suppress = "1d"
-- summary = "{username}, who is not in lists/allowed_users.csv, acted as {impersonated_username} ({impersonated}) on {cluster} from {client_ip}: first {verb} {request_uri}"
--
-- description = """
-- In the log of RBAC the mask did it; only this field says who was behind. People of lists/allowed_users.csv, who test
-- what a colleague may do, proxies of lists/impersonators.csv, and GitOps controllers acting as service accounts of
-- ordinary namespaces are left out; so are refused requests and questions about one's rights. A mask of the control
-- plane or of system:masters is impersonation-privileged's, whoever wears it. One alert for each pair and day. No body
-- is needed.
-- """
-- false_positives = [
--   "Administrators testing what a colleague may do with kubectl --as: add them to lists/allowed_users.csv",
--   "Rancher, Teleport and other proxies: add them to lists/impersonators.csv",
-- ]
-- follow_up = ["impersonation-chains", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    impersonated_username,
    array_to_string(impersonated_groups, ', ') AS impersonated,
    verb,
    request_uri,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND impersonated_username IS NOT NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('allowed_users', username)
    AND NOT listed('impersonators', username)
    AND coalesce(resource, '') NOT IN ('selfsubjectaccessreviews', 'selfsubjectrulesreviews')
    AND NOT (
        listed('workload_deployers', username)
        AND sa_namespace(impersonated_username) IS NOT NULL
        AND NOT listed('system_namespaces', sa_namespace(impersonated_username))
    )
