-- /// detection
-- title = "A role allows a back way to cluster-admin"
-- severity = "high"
-- status = "stable"
-- attack = ["T1098.006", "T1611"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} wrote {resource} {name} that allows {verbs} on {resources} in {cluster}, from {client_ip}"
--
-- description = """
-- nodes/proxy runs commands in any pod through the kubelet (get is enough, and no exec is logged), serviceaccounts/token
-- makes tokens of any account, certificate approval makes any user, webhook and admission policy writes rewrite or let
-- through any object, a persistent volume mounts the node's disk, and patching namespaces switches pod security off.
-- Writes of the rules count, also by patch; labels and dry runs do not. A star among the resources is role-wildcard's. At
-- level Metadata there are no rules to read and this rule stays silent. Ask what it is for: nodes/metrics and nodes/stats
-- serve monitoring without nodes/proxy.
-- """
-- false_positives = [
--   "Prometheus and Datadog charts with nodes/proxy, cert-manager and external-secrets at installation: add the installer to lists/rbac_managers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline", "cluster-admins-by-bindings"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    array_to_string(role_verbs(object), ', ') AS verbs,
    array_to_string(role_resources(object), ', ') AS resources,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN ('clusterroles', 'roles')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('rbac_managers', username)
    AND (verb <> 'patch' OR request_object IS NULL OR regexp_like(request_object, '"rules"|/rules'))
    AND NOT array_has(role_resources(object), '*')
    AND (
        role_grants(object, 'get', 'nodes/proxy') OR role_grants(object, 'create', 'nodes/proxy')
        OR role_grants(object, 'create', 'serviceaccounts/token')
        OR role_grants(object, 'update', 'certificatesigningrequests/approval')
        OR role_grants(object, 'patch', 'certificatesigningrequests/approval')
        OR role_grants(object, 'approve', 'signers') OR role_grants(object, 'sign', 'signers')
        OR role_grants(object, 'create', 'persistentvolumes')
        OR (resource = 'clusterroles' AND (role_grants(object, 'patch', 'namespaces') OR role_grants(object, 'update', 'namespaces')))
        OR role_grants(object, 'create', 'mutatingwebhookconfigurations')
        OR role_grants(object, 'update', 'mutatingwebhookconfigurations')
        OR role_grants(object, 'patch', 'mutatingwebhookconfigurations')
        OR role_grants(object, 'update', 'validatingwebhookconfigurations')
        OR role_grants(object, 'patch', 'validatingwebhookconfigurations')
        OR role_grants(object, 'delete', 'validatingwebhookconfigurations')
        OR role_grants(object, 'create', 'mutatingadmissionpolicies')
        OR role_grants(object, 'patch', 'validatingadmissionpolicies')
        OR role_grants(object, 'delete', 'validatingadmissionpolicies')
        OR role_grants(object, 'patch', 'validatingadmissionpolicybindings')
        OR role_grants(object, 'delete', 'validatingadmissionpolicybindings')
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
