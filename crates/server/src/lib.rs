//! The gRPC services
