-- /// detection
-- title = "A service account was made, given power and its token taken, by one identity"
-- severity = "high"
-- status = "stable"
-- attack = ["T1098.006", "T1136", "T1528"]
-- section = [1, 6]
-- window = "15m"
-- suppress = "1d"
-- key = ["cluster", "username", "account"]
-- summary = "{username} made {account} in {cluster}, bound it ({bindings}) and took its token within 15 minutes, from {client_ip}"
--
-- description = """
-- A new account, a role for the whole cluster or an administrator's, and a token for it in one go is how an intruder
-- makes a way back in that survives the loss of the stolen credential. All three must be by one identity and for one
-- account; installing an operator has no step that takes a token. A token secret counts like a requested token where its
-- body was logged. AKS, the control plane and lists/rbac_managers.csv are left out, accounts of kube-system are not.
-- Without a body (level Metadata) or when it was cut a binding does not tell whom it is for, and the rule stays silent.
-- Dry runs do not count. Delete binding and account, which ends the token, and go through what it did.
-- """
-- false_positives = [
--   "Setting up a pipeline's account by hand or by script: use workload identity instead",
-- ]
-- follow_up = ["identity-timeline", "tokens-created", "role-bindings-changed"]
-- ///

SELECT
    cluster,
    username,
    account,
    substr(string_agg(DISTINCT binding, ', ' ORDER BY binding), 1, 500) AS bindings,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        username,
        client_ip,
        time,
        CASE WHEN resource = 'serviceaccounts' AND subresource IS NULL THEN time END AS made,
        CASE WHEN resource IN ('clusterrolebindings', 'rolebindings') THEN concat(resource, ' ', name, ' to ', role_ref_name(object)) END AS binding,
        CASE WHEN subresource = 'token' OR resource = 'secrets' THEN time END AS token,
        unnest(CASE
            WHEN resource = 'serviceaccounts' THEN make_array(concat('system:serviceaccount:', namespace, ':', name))
            WHEN resource = 'secrets' THEN make_array(concat(
                'system:serviceaccount:', namespace, ':',
                request_object -> 'metadata' -> 'annotations' ->> 'kubernetes.io/service-account.name'
            ))
            ELSE subject_names(object)
        END) AS account
    FROM audit
    WHERE
        stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND (
            (verb = 'create' AND resource IN ('serviceaccounts', 'secrets') AND coalesce(subresource, 'token') = 'token')
            OR (
                verb IN ('create', 'update', 'patch')
                AND (
                    resource = 'clusterrolebindings'
                    OR (resource = 'rolebindings' AND role_ref_name(object) IN ('cluster-admin', 'admin', 'edit'))
                )
            )
        )
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
        AND NOT listed('rbac_managers', username)
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
) AS step
GROUP BY cluster, username, account
HAVING
    count(binding) >= 1
    AND min(made) < max(token)
