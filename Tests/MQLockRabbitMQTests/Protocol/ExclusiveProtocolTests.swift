import MQLock
import Testing

@testable import MQLockRabbitMQ

/// What the exclusive queue has of its own; its line is that of the single active consumer, under another name.
@Suite struct ExclusiveProtocolTests {
    private static let nonce = "00112233445566778899aabbccddeeff"

    @Test func theLineHasAQueueOfItsOwn() throws {
        let names = try ObjectNames("a%b", vhost: "/")
        #expect(names.queue == "mqlock.v1/a%25b")
        #expect(names.line == "mqlock.v1.line/a%25b")
    }

    @Test(arguments: ["turn 0", "fence 1", "sac 1", "seed 1", "token 1", "proof 1"])
    func isNoLineMessage(words: String) throws {
        let text = try #require(MessageText(payload: Array("mqlock.v1 \(words) \(Self.nonce)".utf8)))
        #expect(LineMessage(text) == nil)
    }

    /// The line has to outlast a week without use, and the lock itself nothing.
    @Test func theLineLasts() throws {
        let line = QueueArguments.line(BrokerBehavior(BrokerVersion(3, 10, 8))).pairs
        #expect(try #require(line["x-expires"]?.integer) >= 7 * 24 * 60 * 60 * 1000)
        #expect(QueueArguments.exclusive.pairs["x-expires"] == nil)
    }

    /// A queue that could be made by the question would be in the way of the lock.
    @Test func theQuestionForTheKindMakesNoQueue() {
        let question = QueueArguments.whichKind(BrokerBehavior(BrokerVersion(3, 10, 8))).pairs
        #expect(question["x-single-active-consumer"] == .string("which"), "RabbitMQ takes a boolean only")
    }
}
