import MQLock
import Testing

@Suite struct LockErrorTests {
    @Test func aLossNamesLockReasonAndTheBodysError() throws {
        struct Own: Error, CustomStringConvertible { let description = "own\nerror" }
        let error = LockError.lost(LossReason(.queueDeleted, "by\u{202e}hand"), name: "na\nme", underlying: Own())
        #expect(error.code == .lost)
        #expect(error.lossReason?.kind == .queueDeleted)
        #expect(error.underlying is Own)
        let text = error.description
        #expect(text.contains("queue deleted") && text.contains("na\\u{a}me") && text.contains("own\\u{a}error"))
        #expect(!text.unicodeScalars.contains { $0 == "\n" || $0 == "\u{202e}" })
    }

    @Test func codesHaveTheirNames() {
        #expect(LockError.Code.timedOut.description == "timedOut")
        #expect(LockError(.notOwner, "x").code != .lost)
    }

    @Test func everyReasonReadsLikeWords() {
        let kinds: [LossReason.Kind] = [
            .connectionClosed, .proofOverdue, .channelClosed, .consumerCancelled, .holdLimit, .queueDeleted,
            .partitionRevoked,
            .partitionLost, .askedToYield, .forced, .shutdown,
        ]
        for kind in kinds { #expect(LossReason(kind).description.contains(" ") || kind == .forced) }
        #expect(Set(kinds.map { LossReason($0).description }).count == kinds.count)
        #expect(LossReason(.channelClosed, "406").description == "channel closed by the broker (406)")
    }
}
