import CMQLockRdKafka
import MQLock

extension KafkaFailure.Code {
    /// What helps against an error.
    enum Remedy: Equatable {
        /// It is temporary, or an answer of the protocol that is handled where it comes.
        case patience
        /// An operator has to grant or set up something. We continue when that is done.
        case attention(LockError.Code, String)
        /// The same question gets the same answer until this program or the cluster is configured differently.
        case change(LockError.Code, String)
    }

    /// The library repeats errors of both kinds without end, and calls none of them fatal.
    var remedy: Remedy { Self.remedies[rawValue] ?? .patience }

    /// Whether it is permanent.
    var isFinal: Bool {
        if case .change = remedy { true } else { false }
    }

    /// The kind of error to report, when waiting alone does not help.
    var needsAttention: LockError.Code? {
        switch remedy {
        case .patience: nil
        case .attention(let code, _), .change(let code, _): code
        }
    }

    /// What to do about it, when waiting alone does not help.
    var advice: String? {
        switch remedy {
        case .patience: nil
        case .attention(_, let advice), .change(_, let advice): advice
        }
    }

    private static let remedies: [Int32: Remedy] = {
        let rights = "check credentials, certificates and the broker's access-control list"
        let version = """
            the brokers cannot do that; for those without transactions there is ClaimMethod.acknowledged \
            (claims=acknowledged in a URI)
            """
        let record = "the topic takes no such records: look at its settings, and whether it is compacted"
        let rows: [([rd_kafka_resp_err_t], Remedy)] = [
            (
                [
                    RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
                    RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
                    RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_SECURITY_DISABLED,
                    RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR__SSL,
                ], .attention(.accessRefused, rights)
            ),
            (
                [
                    RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
                    RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
                ], .attention(.incompatible, "check that the topic exists")
            ),
            (
                [RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED],
                .attention(.limitExceeded, "the group has as many members as the broker's group.max.size allows")
            ),
            (
                [RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE],
                .change(.accessRefused, rights)
            ),
            (
                [RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT],
                .change(
                    .invalidConfiguration,
                    """
                    the session has to lie within the broker's group.min.session.timeout.ms (6 s by default) and \
                    group.max.session.timeout.ms
                    """)
            ),
            (
                [RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT],
                .change(
                    .invalidConfiguration, "the transaction's time-out is longer than transaction.max.timeout.ms allows"
                )
            ),
            (
                [
                    RD_KAFKA_RESP_ERR_INVALID_GROUP_ID, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
                    RD_KAFKA_RESP_ERR__INVALID_ARG, RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS,
                    RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, RD_KAFKA_RESP_ERR_INVALID_CONFIG,
                ], .change(.invalidConfiguration, "check the names of topic and group, and the properties")
            ),
            (
                [RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL],
                .change(
                    .incompatible,
                    """
                    the group's other members share out by another way: all of them need partition.assignment.strategy \
                    'range' among theirs, and the same version of this program
                    """)
            ),
            (
                [
                    RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE,
                    RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED, RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT,
                ], .change(.incompatible, version)
            ),
            (
                [RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, RD_KAFKA_RESP_ERR_POLICY_VIOLATION],
                .change(.incompatible, record)
            ),
            ([RD_KAFKA_RESP_ERR_INVALID_RECORD], .change(.incompatible, record)),
            (
                [RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP],
                .change(.internalError, "the broker takes this machine's clock for wrong: compare the two, and set it")
            ),
            (
                [RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE],
                .change(.limitExceeded, "it is more at a time than the topic's max.message.bytes allows")
            ),
        ]
        return rows.reduce(into: [:]) { table, row in
            for code in row.0 { table[code.rawValue] = row.1 }
        }
    }()
}

extension LockError {
    /// The failure as a user of the module sees it.
    init(_ failure: KafkaFailure, while doing: String) {
        let code = failure.code.needsAttention ?? (failure.isRetriable ? .unreachable : .internalError)
        let other =
            code == .unreachable
            ? "check the brokers' addresses and the network" : "this should not happen; please report it"
        self.init(code, "\(doing): \(failure.text); \(failure.code.advice ?? other)", underlying: failure)
    }
}
