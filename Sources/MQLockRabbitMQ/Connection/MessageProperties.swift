/// The properties of a message that we read or write. nil: absent.
struct MessageProperties: Sendable, Equatable {
    var contentType: String?
    var headers: [String: FieldValue] = [:]
    /// 1 transient, 2 persistent.
    var deliveryMode: UInt8?
    var correlationID: String?
    var replyTo: String?
    var messageID: String?
    /// Seconds since 1970.
    var timestamp: UInt64?
    var type: String?
    /// RabbitMQ refuses a publish whose user-id is not the connection's user, so a delivered user-id is authentic.
    var userID: String?
    var appID: String?
}
