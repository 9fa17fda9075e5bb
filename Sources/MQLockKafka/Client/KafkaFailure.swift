import CMQLockRdKafka
import MQLock

/// A refusal of the library or a broker, with the library's verdict.
struct KafkaFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// The library's error code: positive ones are the Kafka protocol's, negative ones its own.
    let code: Code
    /// The library's message, escaped.
    let text: String
    /// The client is useless.
    var isFatal = false
    /// The same call may succeed later.
    var isRetriable = false
    /// The transaction has to be aborted, and can then be tried again.
    var needsAbort = false

    /// An error code of the library, as a value to compare.
    struct Code: Hashable, Sendable, CustomStringConvertible {
        let rawValue: Int32

        init(_ code: rd_kafka_resp_err_t) { rawValue = code.rawValue }

        var description: String { String(cString: rd_kafka_err2name(rd_kafka_resp_err_t(rawValue: rawValue))) }

        /// Compares with C constants, so that no other file has to name one.
        func isOne(of codes: rd_kafka_resp_err_t...) -> Bool { codes.contains { $0.rawValue == rawValue } }
    }

    init(_ code: rd_kafka_resp_err_t, _ text: String? = nil) {
        self.code = Code(code)
        self.text = (text ?? String(cString: rd_kafka_err2str(code))).escapedForDisplay
        isFatal = self.code.isOne(of: RD_KAFKA_RESP_ERR__FATAL, RD_KAFKA_RESP_ERR__FENCED)
        isRetriable = self.code.isTransient
    }

    /// The failure in an event of the library.
    init(of event: OpaquePointer) {
        self.init(rd_kafka_event_error(event), rd_kafka_event_error_string(event).map { String(cString: $0) })
        // For other events the library reads this from a field with another meaning.
        if rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR, rd_kafka_event_error_is_fatal(event) != 0 {
            isFatal = true
        }
    }

    /// Takes ownership of an error object of the library, and destroys it.
    init(taking error: OpaquePointer) {
        code = Code(rd_kafka_error_code(error))
        text = String(cString: rd_kafka_error_string(error)).escapedForDisplay
        isFatal = rd_kafka_error_is_fatal(error) != 0
        isRetriable = rd_kafka_error_is_retriable(error) != 0
        needsAbort = rd_kafka_error_txn_requires_abort(error) != 0
        rd_kafka_error_destroy(error)
    }

    /// Throws unless `code` means success.
    static func check(_ code: rd_kafka_resp_err_t) throws(KafkaFailure) {
        guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
        throw KafkaFailure(code)
    }

    /// Throws what an error object says; nil is success.
    static func check(_ error: OpaquePointer?) throws(KafkaFailure) {
        if let error { throw KafkaFailure(taking: error) }
    }

    var description: String { "\(code): \(text)" }
}

extension KafkaFailure.Code {
    /// Temporary: connections, elections, moves of the coordinator, time-outs.
    var isTransient: Bool {
        isOne(
            of: RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__TIMED_OUT,
            RD_KAFKA_RESP_ERR__WAIT_COORD, RD_KAFKA_RESP_ERR__RESOLVE, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
            RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
            RD_KAFKA_RESP_ERR_NOT_COORDINATOR, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
            RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
            RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
            RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
            RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, RD_KAFKA_RESP_ERR_TRANSACTION_COORDINATOR_FENCED)
    }

    /// The broker says that this member is not, or no longer, in this generation of the group.
    var isStaleMembership: Bool {
        isOne(of: RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID)
    }

    var isRebalanceInProgress: Bool { isOne(of: RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS) }

    /// Another client took this one's place for good.
    var isFenced: Bool {
        isOne(
            of: RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, RD_KAFKA_RESP_ERR__FATAL, RD_KAFKA_RESP_ERR__FENCED,
            RD_KAFKA_RESP_ERR_PRODUCER_FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH)
    }

    /// The client itself has seen that it is out of the group, before any callback says so.
    var isLossOfMembership: Bool { isOne(of: RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED) || isStaleMembership }

    var isUnknownTopic: Bool {
        isOne(
            of: RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
            RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
    }

    var isOffsetOutOfRange: Bool {
        isOne(of: RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
    }

    /// Something went wrong before.
    var isWrongState: Bool { isOne(of: RD_KAFKA_RESP_ERR__STATE) }

    /// What the library reports beside the reason.
    var isAllDown: Bool { isOne(of: RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) }

    var isTimeOut: Bool { isOne(of: RD_KAFKA_RESP_ERR__TIMED_OUT) }

    /// More at a time than the client or the broker accepts.
    var isTooMuch: Bool {
        isOne(
            of: RD_KAFKA_RESP_ERR__QUEUE_FULL, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
            RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE)
    }
}
