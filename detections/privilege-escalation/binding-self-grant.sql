-- /// detection
-- title = "Someone gave a role to themselves"
-- severity = "high"
-- status = "stable"
-- attack = ["T1098.006", "T1548"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} gave itself {role} through {resource} {name} of {cluster} (subjects {subjects}), from {client_ip}"
--
-- description = """
-- Whoever may write bindings and names themselves, their own group or their own service account takes rights nobody
-- reviewed; a pod that does it has been taken over. The user name, the object id, the groups and an impersonated name
-- are compared with the subjects. Groups everybody is in are binding-broad-group's. A patch counts if it touches the
-- subjects. Without a body (level Metadata, or cut before the subjects) the subjects are not known and the rule stays
-- silent; binding-created still records it. Dry runs do not count. Ask the person; if it was not agreed, remove the
-- binding and look at what was done with it.
-- """
-- false_positives = [
--   "A platform team setting up a cluster, or adding a role to its own group, by hand",
--   "GitOps that binds its own account: add it to lists/rbac_managers.csv",
--   "Updates (PUT) of a binding that names the author already: the change is not known",
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
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('rbac_managers', username)
    AND (
        array_has(subject_names(object), username)
        OR array_has(subject_names(object), impersonated_username)
        OR array_has(subject_names(object), user_extra -> 'oid' ->> 0)
        OR array_has_any(
            subject_names(object),
            array_except(groups, ARRAY['system:authenticated', 'system:serviceaccounts', 'system:masters'])
        )
    )
    AND (verb <> 'patch' OR regexp_like(request_object, '"subjects"\s*:|/subjects|subjects/'))
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
