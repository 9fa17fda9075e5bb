import CMQLockRdKafka
import MQLock
import Testing

@testable import MQLockKafka

@Suite struct TransactionFailureTests {
    private static let codes: [rd_kafka_resp_err_t] = [
        RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__FENCED,
        RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, RD_KAFKA_RESP_ERR__FATAL, RD_KAFKA_RESP_ERR__STATE,
        RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, RD_KAFKA_RESP_ERR__QUEUE_FULL,
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_INVALID_TXN_STATE,
    ]

    /// All that can happen, against what the protocol allows: who has not asked for a commit has committed nothing; who
    /// has, knows so only from a broker that fenced it or took an abort.
    @Test func whatIsNotKnownIsNeverSaidToBe() {
        var unknown = 0
        for step in TransactionFailure.Step.allCases {
            for code in Self.codes {
                for needsAbort in [false, true] {
                    for isFatal in [false, true] {
                        for abort in TransactionFailure.Abort.allCases {
                            var failure = KafkaFailure(code)
                            (failure.needsAbort, failure.isFatal) = (needsAbort, failure.isFatal || isFatal)
                            let failed = TransactionFailure(step: step, failure: failure, abort: abort)
                            let isKnown = step != .committing || failure.code.isFenced || needsAbort && abort == .done
                            let error = failed.error(name: "n", lost: nil)
                            #expect((error.code == .outcomeUnknown) == !isKnown, "\(failed)")
                            let lost = failed.error(name: "n", lost: LossReason(.partitionRevoked))
                            #expect(lost.code == (isKnown ? .lost : .outcomeUnknown), "\(failed)")
                            unknown += isKnown ? 0 : 1
                        }
                    }
                }
            }
        }
        #expect(unknown > 0)
    }

    /// A producer that is fenced, fatal, or still committing takes no abort; while writing, one is always due.
    @Test func abortsAreTriedWhereTheyMakeSense() {
        for code in Self.codes {
            var failure = KafkaFailure(code)
            let isOver = failure.isFatal || failure.code.isFenced
            #expect(!TransactionFailure.wantsAbort(.starting, failure))
            #expect(TransactionFailure.wantsAbort(.writing, failure) == !isOver)
            #expect(!TransactionFailure.wantsAbort(.committing, failure))
            failure.needsAbort = true
            #expect(TransactionFailure.wantsAbort(.committing, failure) == !isOver)
        }
    }

    @Test func theCallerIsToldWhatToDo() {
        func code(_ code: rd_kafka_resp_err_t) -> LockError.Code {
            TransactionFailure(step: .writing, failure: KafkaFailure(code), abort: .done)
                .error(name: "n", lost: nil).code
        }
        #expect(code(RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION) == .lost)
        #expect(code(RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID) == .lost)
        #expect(code(RD_KAFKA_RESP_ERR__TIMED_OUT) == .unreachable)
        #expect(code(RD_KAFKA_RESP_ERR__QUEUE_FULL) == .limitExceeded)
        #expect(code(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) == .limitExceeded)
        #expect(code(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) == .incompatible)
        #expect(code(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) == .accessRefused)
        // As a compacted topic says to a record without a key: to try again would never help.
        #expect(code(RD_KAFKA_RESP_ERR_INVALID_RECORD) == .incompatible)
    }
}
