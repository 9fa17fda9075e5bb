import CMQLockRdKafka
import MQLock
import Testing

@testable import MQLockKafka

/// What is done about each error that the library knows.
@Suite struct RemedyTests {
    private static let codes: [KafkaFailure] = {
        var table: UnsafePointer<rd_kafka_err_desc>?
        var count = 0
        rd_kafka_get_err_descs(&table, &count)
        // The table has holes.
        return UnsafeBufferPointer(start: table, count: count).filter { $0.name != nil }.map { KafkaFailure($0.code) }
    }()

    /// No error is of two kinds: what passes, what the protocol answers, and what somebody has to mend are told apart.
    @Test func everyErrorIsOfOneKind() {
        #expect(Self.codes.count > 100)
        for failure in Self.codes {
            let code = failure.code
            let kinds = [
                code.isTransient, code.needsAttention != nil, code.isStaleMembership, code.isRebalanceInProgress,
                code.isFenced,
            ]
            #expect(kinds.count { $0 } <= 1, "\(failure)")
            #expect((code.needsAttention != nil) == (code.advice != nil), "\(failure)")
            let error = LockError(failure, while: "trying")
            #expect((error.code == .unreachable) == code.isTransient, "\(failure)")
            if let advice = code.advice { #expect(error.message.contains(advice), "\(failure)") }
        }
    }

    /// What no repetition mends, and what it might: the two lists are the contract of ``ShardOwnership/run()``.
    @Test func whatIsFinal() {
        let names = Set(Self.codes.filter(\.code.isFinal).map(\.code.description))
        #expect(
            names == [
                "INVALID_SESSION_TIMEOUT", "INCONSISTENT_GROUP_PROTOCOL", "INVALID_GROUP_ID", "INVALID_RECORD",
                "INVALID_TIMESTAMP", "INVALID_TRANSACTION_TIMEOUT", "INVALID_REQUIRED_ACKS", "INVALID_PARTITIONS",
                "INVALID_CONFIG", "TOPIC_EXCEPTION", "MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE",
                "UNSUPPORTED_VERSION", "UNSUPPORTED_FOR_MESSAGE_FORMAT", "UNSUPPORTED_SASL_MECHANISM",
                "UNSUPPORTED_COMPRESSION_TYPE", "ILLEGAL_SASL_STATE", "POLICY_VIOLATION", "_INVALID_ARG",
                "_NOT_IMPLEMENTED", "_UNSUPPORTED_FEATURE",
            ])
        let mayBeGranted = Set(
            Self.codes.filter { $0.code.needsAttention != nil && !$0.code.isFinal }.map(\.code.description))
        #expect(
            mayBeGranted.isSuperset(of: [
                "GROUP_AUTHORIZATION_FAILED", "TOPIC_AUTHORIZATION_FAILED", "UNKNOWN_TOPIC_OR_PART", "_AUTHENTICATION",
            ]))
    }
}
