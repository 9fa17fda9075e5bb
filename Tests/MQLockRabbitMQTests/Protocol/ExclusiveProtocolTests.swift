import MQLock
import Testing

@testable import MQLockRabbitMQ

@Suite struct ExclusiveProtocolTests {
    private static let nonce = "00112233445566778899aabbccddeeff"

    @Test func theVectorsOfTheProtocol() throws {
        let nonce = try #require(Nonce(Self.nonce))
        let turn = Array("mqlock.v1 turn 0 \(Self.nonce)".utf8)
        #expect(TurnMessage(nonce: nonce).payload == turn)
        #expect(TurnMessage(payload: turn) == TurnMessage(nonce: nonce))
        let fence = Array("mqlock.v1 fence 58731862777921536 \(Self.nonce)".utf8)
        let message = FenceMessage(number: 58_731_862_777_921_536, nonce: nonce)
        #expect(message.payload == fence)
        #expect(FenceMessage(payload: fence) == message)
        let names = try ObjectNames("a%b", vhost: "/")
        #expect(names.line == "mqlock.v1.line/a%25b")
        #expect(names.fence == "mqlock.v1.fence/a%25b")
    }

    @Test(arguments: [
        "", "hello", "mqlock.v1 turn 1 \(nonce)", "mqlock.v2 turn 0 \(nonce)", "mqlock.v1 seed 1 \(nonce)",
    ])
    func refusesEverythingElse(text: String) {
        #expect(TurnMessage(payload: Array(text.utf8)) == nil)
        #expect(FenceMessage(payload: Array(text.utf8)) == nil)
    }

    /// Line and register have to outlast a week without use, and the lock itself nothing.
    @Test func theHelpersLast() throws {
        let expires = try #require(
            QueueArguments.helper(BrokerBehaviour(BrokerVersion(3, 10, 8), .replicated)).pairs["x-expires"]?.integer)
        #expect(expires >= 7 * 24 * 60 * 60 * 1000)
        #expect(QueueArguments.exclusive.pairs["x-expires"] == nil)
    }
}
