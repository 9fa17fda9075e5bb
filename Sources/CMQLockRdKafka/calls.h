// The functions of librdkafka that MQLockKafka calls: result, name, parameters, arguments. No include guard: whoever
// includes this file defines CALL first. The compiler compares the types with those of rdkafka.h.
//
// A function that is missing here fails to link: "undefined symbol" with its own name.

CALL(void, rd_kafka_AdminOptions_destroy, (rd_kafka_AdminOptions_t *options), (options))
CALL(
    rd_kafka_AdminOptions_t *, rd_kafka_AdminOptions_new,
    (rd_kafka_t *rk, rd_kafka_admin_op_t for_api),
    (rk, for_api))
CALL(
    rd_kafka_resp_err_t, rd_kafka_AdminOptions_set_request_timeout,
    (rd_kafka_AdminOptions_t *options, int timeout_ms, char *errstr, size_t errstr_size),
    (options, timeout_ms, errstr, errstr_size))
CALL(const char *, rd_kafka_ConfigEntry_name, (const rd_kafka_ConfigEntry_t *entry), (entry))
CALL(const char *, rd_kafka_ConfigEntry_value, (const rd_kafka_ConfigEntry_t *entry), (entry))
CALL(
    const rd_kafka_ConfigEntry_t **, rd_kafka_ConfigResource_configs,
    (const rd_kafka_ConfigResource_t *config, size_t *cntp),
    (config, cntp))
CALL(void, rd_kafka_ConfigResource_destroy, (rd_kafka_ConfigResource_t *config), (config))
CALL(rd_kafka_resp_err_t, rd_kafka_ConfigResource_error, (const rd_kafka_ConfigResource_t *config), (config))
CALL(const char *, rd_kafka_ConfigResource_error_string, (const rd_kafka_ConfigResource_t *config), (config))
CALL(
    rd_kafka_ConfigResource_t *, rd_kafka_ConfigResource_new,
    (rd_kafka_ResourceType_t restype, const char *resname),
    (restype, resname))
CALL(
    void, rd_kafka_CreateTopics,
    (rd_kafka_t *rk, rd_kafka_NewTopic_t **new_topics, size_t new_topic_cnt, const rd_kafka_AdminOptions_t *options,
     rd_kafka_queue_t *rkqu),
    (rk, new_topics, new_topic_cnt, options, rkqu))
CALL(
    const rd_kafka_topic_result_t **, rd_kafka_CreateTopics_result_topics,
    (const rd_kafka_CreateTopics_result_t *result, size_t *cntp),
    (result, cntp))
CALL(
    void, rd_kafka_DescribeConfigs,
    (rd_kafka_t *rk, rd_kafka_ConfigResource_t **configs, size_t config_cnt, const rd_kafka_AdminOptions_t *options,
     rd_kafka_queue_t *rkqu),
    (rk, configs, config_cnt, options, rkqu))
CALL(
    const rd_kafka_ConfigResource_t **, rd_kafka_DescribeConfigs_result_resources,
    (const rd_kafka_DescribeConfigs_result_t *result, size_t *cntp),
    (result, cntp))
CALL(void, rd_kafka_NewTopic_destroy, (rd_kafka_NewTopic_t *new_topic), (new_topic))
CALL(
    rd_kafka_NewTopic_t *, rd_kafka_NewTopic_new,
    (const char *topic, int num_partitions, int replication_factor, char *errstr, size_t errstr_size),
    (topic, num_partitions, replication_factor, errstr, errstr_size))
CALL(
    rd_kafka_resp_err_t, rd_kafka_NewTopic_set_config,
    (rd_kafka_NewTopic_t *new_topic, const char *name, const char *value),
    (new_topic, name, value))
CALL(rd_kafka_error_t *, rd_kafka_abort_transaction, (rd_kafka_t *rk, int timeout_ms), (rk, timeout_ms))
CALL(
    rd_kafka_resp_err_t, rd_kafka_assign,
    (rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *partitions),
    (rk, partitions))
CALL(int, rd_kafka_assignment_lost, (rd_kafka_t *rk), (rk))
CALL(rd_kafka_error_t *, rd_kafka_begin_transaction, (rd_kafka_t *rk), (rk))
CALL(
    rd_kafka_resp_err_t, rd_kafka_commit_queue,
    (rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *offsets, rd_kafka_queue_t *rkqu, void (*cb)(rd_kafka_t *,
     rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *, void *), void *commit_opaque),
    (rk, offsets, rkqu, cb, commit_opaque))
CALL(rd_kafka_error_t *, rd_kafka_commit_transaction, (rd_kafka_t *rk, int timeout_ms), (rk, timeout_ms))
CALL(
    rd_kafka_resp_err_t, rd_kafka_committed,
    (rd_kafka_t *rk, rd_kafka_topic_partition_list_t *partitions, int timeout_ms),
    (rk, partitions, timeout_ms))
CALL(void, rd_kafka_conf_destroy, (rd_kafka_conf_t *conf), (conf))
CALL(rd_kafka_conf_t *, rd_kafka_conf_new, (void), ())
CALL(
    rd_kafka_conf_res_t, rd_kafka_conf_set,
    (rd_kafka_conf_t *conf, const char *name, const char *value, char *errstr, size_t errstr_size),
    (conf, name, value, errstr, errstr_size))
CALL(void, rd_kafka_conf_set_events, (rd_kafka_conf_t *conf, int events), (conf, events))
CALL(
    void, rd_kafka_conf_set_log_cb,
    (rd_kafka_conf_t *conf, void (*log_cb)(const rd_kafka_t *, int, const char *, const char *)),
    (conf, log_cb))
CALL(void, rd_kafka_conf_set_opaque, (rd_kafka_conf_t *conf, void *opaque), (conf, opaque))
CALL(rd_kafka_message_t *, rd_kafka_consume_queue, (rd_kafka_queue_t *rkqu, int timeout_ms), (rkqu, timeout_ms))
CALL(
    int, rd_kafka_consume_start_queue,
    (rd_kafka_topic_t *rkt, int32_t partition, int64_t offset, rd_kafka_queue_t *rkqu),
    (rkt, partition, offset, rkqu))
CALL(int, rd_kafka_consume_stop, (rd_kafka_topic_t *rkt, int32_t partition), (rkt, partition))
CALL(rd_kafka_error_t *, rd_kafka_consumer_close_queue, (rd_kafka_t *rk, rd_kafka_queue_t *rkqu), (rk, rkqu))
CALL(int, rd_kafka_consumer_closed, (rd_kafka_t *rk), (rk))
CALL(rd_kafka_consumer_group_metadata_t *, rd_kafka_consumer_group_metadata, (rd_kafka_t *rk), (rk))
CALL(void, rd_kafka_consumer_group_metadata_destroy, (rd_kafka_consumer_group_metadata_t *metadata), (metadata))
CALL(
    rd_kafka_error_t *, rd_kafka_consumer_group_metadata_write,
    (const rd_kafka_consumer_group_metadata_t *cgmd, void **bufferp, size_t *sizep),
    (cgmd, bufferp, sizep))
CALL(rd_kafka_message_t *, rd_kafka_consumer_poll, (rd_kafka_t *rk, int timeout_ms), (rk, timeout_ms))
CALL(void, rd_kafka_destroy_flags, (rd_kafka_t *rk, int flags), (rk, flags))
CALL(const char *, rd_kafka_err2name, (rd_kafka_resp_err_t err), (err))
CALL(const char *, rd_kafka_err2str, (rd_kafka_resp_err_t err), (err))
CALL(rd_kafka_resp_err_t, rd_kafka_error_code, (const rd_kafka_error_t *error), (error))
CALL(void, rd_kafka_error_destroy, (rd_kafka_error_t *error), (error))
CALL(int, rd_kafka_error_is_fatal, (const rd_kafka_error_t *error), (error))
CALL(int, rd_kafka_error_is_retriable, (const rd_kafka_error_t *error), (error))
CALL(const char *, rd_kafka_error_string, (const rd_kafka_error_t *error), (error))
CALL(int, rd_kafka_error_txn_requires_abort, (const rd_kafka_error_t *error), (error))
CALL(const rd_kafka_CreateTopics_result_t *, rd_kafka_event_CreateTopics_result, (rd_kafka_event_t *rkev), (rkev))
CALL(
    const rd_kafka_DescribeConfigs_result_t *, rd_kafka_event_DescribeConfigs_result,
    (rd_kafka_event_t *rkev),
    (rkev))
CALL(void, rd_kafka_event_destroy, (rd_kafka_event_t *rkev), (rkev))
CALL(rd_kafka_resp_err_t, rd_kafka_event_error, (rd_kafka_event_t *rkev), (rkev))
CALL(int, rd_kafka_event_error_is_fatal, (rd_kafka_event_t *rkev), (rkev))
CALL(const char *, rd_kafka_event_error_string, (rd_kafka_event_t *rkev), (rkev))
CALL(const rd_kafka_message_t *, rd_kafka_event_message_next, (rd_kafka_event_t *rkev), (rkev))
CALL(void *, rd_kafka_event_opaque, (rd_kafka_event_t *rkev), (rkev))
CALL(rd_kafka_topic_partition_list_t *, rd_kafka_event_topic_partition_list, (rd_kafka_event_t *rkev), (rkev))
CALL(rd_kafka_event_type_t, rd_kafka_event_type, (const rd_kafka_event_t *rkev), (rkev))
CALL(
    rd_kafka_resp_err_t, rd_kafka_fatal_error,
    (rd_kafka_t *rk, char *errstr, size_t errstr_size),
    (rk, errstr, errstr_size))
CALL(rd_kafka_resp_err_t, rd_kafka_flush, (rd_kafka_t *rk, int timeout_ms), (rk, timeout_ms))
CALL(
    rd_kafka_resp_err_t, rd_kafka_header_add,
    (rd_kafka_headers_t *hdrs, const char *name, ssize_t name_size, const void *value, ssize_t value_size),
    (hdrs, name, name_size, value, value_size))
CALL(
    rd_kafka_resp_err_t, rd_kafka_header_get_all,
    (const rd_kafka_headers_t *hdrs, size_t idx, const char **namep, const void **valuep, size_t *sizep),
    (hdrs, idx, namep, valuep, sizep))
CALL(void, rd_kafka_headers_destroy, (rd_kafka_headers_t *hdrs), (hdrs))
CALL(rd_kafka_headers_t *, rd_kafka_headers_new, (size_t initial_count), (initial_count))
CALL(
    rd_kafka_error_t *, rd_kafka_incremental_assign,
    (rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *partitions),
    (rk, partitions))
CALL(
    rd_kafka_error_t *, rd_kafka_incremental_unassign,
    (rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *partitions),
    (rk, partitions))
CALL(rd_kafka_error_t *, rd_kafka_init_transactions, (rd_kafka_t *rk, int timeout_ms), (rk, timeout_ms))
CALL(rd_kafka_resp_err_t, rd_kafka_last_error, (void), ())
CALL(void, rd_kafka_mem_free, (rd_kafka_t *rk, void *ptr), (rk, ptr))
CALL(void, rd_kafka_message_destroy, (rd_kafka_message_t *rkmessage), (rkmessage))
CALL(const char *, rd_kafka_message_errstr, (const rd_kafka_message_t *rkmessage), (rkmessage))
CALL(
    rd_kafka_resp_err_t, rd_kafka_message_headers,
    (const rd_kafka_message_t *rkmessage, rd_kafka_headers_t **hdrsp),
    (rkmessage, hdrsp))
CALL(
    int64_t, rd_kafka_message_timestamp,
    (const rd_kafka_message_t *rkmessage, rd_kafka_timestamp_type_t *tstype),
    (rkmessage, tstype))
CALL(
    rd_kafka_resp_err_t, rd_kafka_metadata,
    (rd_kafka_t *rk, int all_topics, rd_kafka_topic_t *only_rkt, const struct rd_kafka_metadata **metadatap,
     int timeout_ms),
    (rk, all_topics, only_rkt, metadatap, timeout_ms))
CALL(void, rd_kafka_metadata_destroy, (const struct rd_kafka_metadata *metadata), (metadata))
CALL(
    rd_kafka_t *, rd_kafka_new,
    (rd_kafka_type_t type, rd_kafka_conf_t *conf, char *errstr, size_t errstr_size),
    (type, conf, errstr, errstr_size))
CALL(
    rd_kafka_resp_err_t, rd_kafka_offsets_for_times,
    (rd_kafka_t *rk, rd_kafka_topic_partition_list_t *offsets, int timeout_ms),
    (rk, offsets, timeout_ms))
CALL(void *, rd_kafka_opaque, (const rd_kafka_t *rk), (rk))
CALL(
    rd_kafka_resp_err_t, rd_kafka_pause_partitions,
    (rd_kafka_t *rk, rd_kafka_topic_partition_list_t *partitions),
    (rk, partitions))
CALL(rd_kafka_resp_err_t, rd_kafka_poll_set_consumer, (rd_kafka_t *rk), (rk))
CALL(rd_kafka_error_t *, rd_kafka_produceva, (rd_kafka_t *rk, const rd_kafka_vu_t *vus, size_t cnt), (rk, vus, cnt))
CALL(rd_kafka_resp_err_t, rd_kafka_purge, (rd_kafka_t *rk, int purge_flags), (rk, purge_flags))
CALL(
    rd_kafka_resp_err_t, rd_kafka_query_watermark_offsets,
    (rd_kafka_t *rk, const char *topic, int32_t partition, int64_t *low, int64_t *high, int timeout_ms),
    (rk, topic, partition, low, high, timeout_ms))
CALL(
    void, rd_kafka_queue_cb_event_enable,
    (rd_kafka_queue_t *rkqu, void (*event_cb)(rd_kafka_t *, void *), void *qev_opaque),
    (rkqu, event_cb, qev_opaque))
CALL(void, rd_kafka_queue_destroy, (rd_kafka_queue_t *rkqu), (rkqu))
CALL(void, rd_kafka_queue_forward, (rd_kafka_queue_t *src, rd_kafka_queue_t *dst), (src, dst))
CALL(rd_kafka_queue_t *, rd_kafka_queue_get_consumer, (rd_kafka_t *rk), (rk))
CALL(rd_kafka_queue_t *, rd_kafka_queue_get_main, (rd_kafka_t *rk), (rk))
CALL(
    rd_kafka_queue_t *, rd_kafka_queue_get_partition,
    (rd_kafka_t *rk, const char *topic, int32_t partition),
    (rk, topic, partition))
CALL(rd_kafka_queue_t *, rd_kafka_queue_new, (rd_kafka_t *rk), (rk))
CALL(rd_kafka_event_t *, rd_kafka_queue_poll, (rd_kafka_queue_t *rkqu, int timeout_ms), (rkqu, timeout_ms))
CALL(void, rd_kafka_queue_yield, (rd_kafka_queue_t *rkqu), (rkqu))
CALL(
    rd_kafka_error_t *, rd_kafka_send_offsets_to_transaction,
    (rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *offsets,
     const rd_kafka_consumer_group_metadata_t *cgmetadata, int timeout_ms),
    (rk, offsets, cgmetadata, timeout_ms))
CALL(
    rd_kafka_resp_err_t, rd_kafka_subscribe,
    (rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *topics),
    (rk, topics))
CALL(void, rd_kafka_topic_destroy, (rd_kafka_topic_t *rkt), (rkt))
CALL(
    rd_kafka_topic_t *, rd_kafka_topic_new,
    (rd_kafka_t *rk, const char *topic, rd_kafka_topic_conf_t *conf),
    (rk, topic, conf))
CALL(
    rd_kafka_topic_partition_t *, rd_kafka_topic_partition_list_add,
    (rd_kafka_topic_partition_list_t *rktparlist, const char *topic, int32_t partition),
    (rktparlist, topic, partition))
CALL(void, rd_kafka_topic_partition_list_destroy, (rd_kafka_topic_partition_list_t *rkparlist), (rkparlist))
CALL(rd_kafka_topic_partition_list_t *, rd_kafka_topic_partition_list_new, (int size), (size))
CALL(rd_kafka_resp_err_t, rd_kafka_topic_result_error, (const rd_kafka_topic_result_t *topicres), (topicres))
CALL(const char *, rd_kafka_topic_result_error_string, (const rd_kafka_topic_result_t *topicres), (topicres))
