-- /// detection
-- title = "A binding gives rights to everyone"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1098.006", "T1078.001"]
-- section = [1]
-- key = ["cluster", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} gave {subjects} the role {role} through {resource} {name} of {cluster}, from {client_ip}"
--
-- description = """
-- system:anonymous and system:unauthenticated are the whole internet if the API server is reachable from it,
-- system:authenticated is every account of the tenant that can sign in, system:serviceaccounts every pod. Only the four
-- built-in roles for discovery are meant for them; the API server restores those bindings at each start. A namespace's own
-- service accounts in a RoleBinding of that namespace are left out. No identity is exempt. At level Metadata there are no
-- subjects and the rule stays silent. Delete the binding first, then look for requests by anonymous and by unknown users.
-- """
-- false_positives = [
--   "A role meant for every workload: bind the service accounts that need it instead",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    role_ref_name(object) AS role,
    array_to_string(subject_names(object), ', ') AS subjects,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN ('clusterrolebindings', 'rolebindings')
    AND regexp_like(
        concat(
            ',',
            array_to_string(
                array_remove(subject_names(object), concat('system:serviceaccounts:', namespace)),
                ','
            ),
            ','
        ),
        ',system:(anonymous|unauthenticated|authenticated|serviceaccounts(:[^,]*)?),'
    )
    AND coalesce(role_ref_name(object), '') NOT IN (
        'system:basic-user',
        'system:discovery',
        'system:public-info-viewer',
        'system:service-account-issuer-discovery'
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
