package org.springframework.http;

public enum HttpStatus {
    OK,
    BAD_REQUEST
}
