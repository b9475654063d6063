-- /// detection
-- title = "Someone acted as a privileged identity"
-- severity = "high"
-- status = "stable"
-- attack = ["T1134", "T1078"]
-- section = [1]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "impersonated_username"]
-- suppress = "1h"
-- summary = "{username} acted as {impersonated_username} ({impersonated}) on {cluster} from {client_ip}: first {verb} {request_uri}"
--
-- description = """
-- kubectl --as and --as-group let the holder of impersonate be anyone. As system:masters, a node, a control-plane
-- component or a service account of kube-system that is full control, and RBAC sees only the mask. Whether the request itself
-- was allowed does not matter. Questions about one's rights (SelfSubjectAccessReview) are left out. No body is needed.
-- Ask the person; take the impersonate verb away from who does not need it.
-- """
-- false_positives = [
--   "Proxies that impersonate signed-in users: add them to lists/impersonators.csv",
-- ]
-- follow_up = ["identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    impersonated_username,
    array_to_string(impersonated_groups, ', ') AS impersonated,
    verb,
    request_uri,
    status_code,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND impersonated_username IS NOT NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('impersonators', username)
    AND coalesce(resource, '') NOT IN ('selfsubjectaccessreviews', 'selfsubjectrulesreviews')
    AND (
        impersonated_username IN (
            'masterclient', 'clusterAdmin', 'aksService', 'hcpService', 'acsService',
            'system:admin', 'system:apiserver', 'system:kube-controller-manager', 'system:kube-scheduler'
        )
        OR starts_with(impersonated_username, 'system:node:')
        OR starts_with(impersonated_username, 'system:serviceaccount:kube-system:')
        OR array_has_any(impersonated_groups, ARRAY['system:masters', 'system:nodes'])
    )
